//! The Flight SQL service: one method a call, each of them thin. What a call means is in the file named after it.
//!
//! The service is implemented on Flight itself and not on arrow-flight's `FlightSqlService`, because that trait answers
//! GetSchema and PollFlightInfo with UNIMPLEMENTED, knows no session actions, and refuses a raw statement before any
//! code of ours runs. This way every call passes one place for identity, metrics and errors.

mod actions;
mod asked;
mod bind;
mod encode;
mod frames;
mod handshake;
mod info;
mod metadata;
mod prepared;
mod rows;
mod screen;
mod session_options;
mod sql_info;
pub mod values;
mod xdbc;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::{Stream, StreamExt, stream};
use http::HeaderMap;
use tonic::{Request, Response, Status, Streaming};

use crate::app::App;
use crate::audit::{Entry, Outcome};
use crate::error::{Error, Result};
use crate::peer::Peer;
use crate::session::{Incoming, RequestContext, request_id};
use crate::status::Answer;
use frames::Given;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// The service as routes of a listener.
pub(crate) fn router(app: Arc<App>) -> axum::Router {
    let message_max = usize::try_from(app.config.limits.request_bytes_max.as_u64()).unwrap_or(usize::MAX);
    let flight = Flight { app, message_max };
    let service = FlightServiceServer::new(flight.clone())
        .max_decoding_message_size(message_max)
        .max_encoding_message_size(usize::MAX);
    let bulk = axum::Router::new()
        .route(frames::DO_GET, axum::routing::post(frames::do_get))
        .with_state(flight);
    bulk.fallback_service(tonic::service::Routes::new(service).into_axum_router())
}

#[derive(Clone, Debug)]
struct Flight {
    app: Arc<App>,
    /// Longest request message, in bytes.
    message_max: usize,
}

/// A call on its way: its name, its headers, and when it began.
struct Call {
    method: &'static str,
    id: String,
    headers: HeaderMap,
    peer: Option<Peer>,
    began: Instant,
    /// The call in the audit trail, once its caller is proven.
    entry: OnceLock<Arc<Entry>>,
}

impl Call {
    fn open<T>(method: &'static str, request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        let peer = Peer::of(&extensions);
        (Self::named(method, metadata.into_headers(), peer), message)
    }

    fn named(method: &'static str, headers: HeaderMap, peer: Option<Peer>) -> Self {
        Self {
            method,
            id: request_id(&headers),
            headers,
            peer,
            began: Instant::now(),
            entry: OnceLock::new(),
        }
    }

    /// As the doors have it in common.
    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            protocol: "flight",
            method: self.method,
            id: &self.id,
            headers: &self.headers,
            peer: self.peer.as_ref(),
        }
    }

    /// Ends the call's entry in the audit trail with the failure, or as whole where no rows follow.
    fn conclude(&self, failure: Option<&Answer>) {
        let Some(entry) = self.entry.get() else { return };
        match failure {
            Some(answer) => entry.conclude(Outcome::failed(answer.kind, answer.code)),
            None if entry.is_streaming() => {}
            None => entry.conclude(Outcome::ok()),
        }
    }

    /// Counts the call and turns a failure into its status.
    fn close<T>(self, app: &App, outcome: Result<T>) -> Result<T, Status> {
        let seconds = self.began.elapsed().as_secs_f64();
        match outcome {
            Ok(answer) => {
                app.metrics.answered("flight", self.method, "OK", seconds);
                self.conclude(None);
                Ok(answer)
            }
            Err(error) => {
                let answer = Answer::of(&error, &self.id);
                app.metrics.answered("flight", self.method, answer.code, seconds);
                self.conclude(Some(&answer));
                Err(answer.status())
            }
        }
    }
}

impl Flight {
    async fn context(&self, call: &Call) -> Result<RequestContext> {
        let context = self.admitted(call).await?;
        context.entry.settled().await?;
        Ok(context)
    }

    async fn admitted(&self, call: &Call) -> Result<RequestContext> {
        let context = RequestContext::open(&self.app, &call.incoming()).await?;
        // A call asks for its context once.
        drop(call.entry.set(Arc::clone(&context.entry)));
        Ok(context)
    }

    /// The rows of a ticket. Nothing is changed by them, so the start of the call is waited for when they are there.
    async fn rows(&self, call: &Call, ticket: &Ticket) -> Result<Given> {
        let context = self.admitted(call).await?;
        let messages = rows::answer(&self.app, &context, &ticket.ticket).await;
        context.entry.settled().await?;
        messages
    }
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let (call, messages) = Call::open("Handshake", request);
        let outcome = handshake::answer(&self.app, &call, messages).await;
        call.close(&self.app, outcome)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let (call, criteria) = Call::open("ListFlights", request);
        let outcome = async {
            let context = self.context(&call).await?;
            let flights = info::list(&self.app, &context, &criteria.expression).await?;
            Ok(Response::new(stream::iter(flights.into_iter().map(Ok)).boxed()))
        };
        let outcome = outcome.await;
        call.close(&self.app, outcome)
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let (call, descriptor) = Call::open("GetFlightInfo", request);
        let outcome = async { info::flight_info(&self.app, &self.context(&call).await?, descriptor).await };
        let outcome = outcome.await;
        call.close(&self.app, outcome)
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let (call, descriptor) = Call::open("PollFlightInfo", request);
        let outcome = async { info::poll(&self.app, &self.context(&call).await?, descriptor).await };
        let outcome = outcome.await;
        call.close(&self.app, outcome)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (call, descriptor) = Call::open("GetSchema", request);
        let outcome = async { info::schema(&self.app, &self.context(&call).await?, &descriptor).await };
        let outcome = outcome.await.map(Response::new);
        call.close(&self.app, outcome)
    }

    /// Never called: the router sends DoGet to `frames.rs`, which writes its body by hand.
    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::internal("DoGet has a route of its own"))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let (call, messages) = Call::open("DoPut", request);
        let outcome = async {
            let context = self.context(&call).await?;
            bind::answer(&self.app, &context, messages).await
        };
        let outcome = outcome.await.map(|put| put.map(one));
        call.close(&self.app, outcome)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let (call, action) = Call::open("DoAction", request);
        let outcome = async {
            let context = self.context(&call).await?;
            actions::answer(&self.app, &context, action).await
        };
        let outcome = outcome
            .await
            .map(|response| response.map(|body| one(arrow_flight::Result { body })));
        call.close(&self.app, outcome)
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let (call, _) = Call::open("ListActions", request);
        let outcome = self.context(&call).await.map(|_| {
            let types = actions::NAMES.iter().map(|(name, text)| {
                Ok(ActionType {
                    r#type: (*name).to_owned(),
                    description: (*text).to_owned(),
                })
            });
            Response::new(stream::iter(types).boxed() as Self::ListActionsStream)
        });
        call.close(&self.app, outcome)
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let (call, _) = Call::open("DoExchange", request);
        let outcome = self.context(&call).await.and_then(|_| {
            Err(Error::Unsupported {
                what: "DoExchange".to_owned(),
            })
        });
        call.close(&self.app, outcome)
    }
}

fn one<T: Send + 'static>(answer: T) -> Answers<T> {
    stream::once(async move { Ok(answer) }).boxed()
}
