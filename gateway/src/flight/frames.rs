//! DoGet's answer on the wire: gRPC messages of FlightData, written by hand so that rows go from the arrays to the socket
//! without a copy. A codec of tonic's can only write into one growing buffer, which copies every row twice
//! (grpc/grpc-rust#1558).
//!
//! Invariants:
//! - A call ends with `grpc-status` in the trailers, whatever happened (gRPC over HTTP/2, "Responses").
//! - A message is five bytes of prefix (not compressed, length big-endian), then FlightData in protobuf.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow_flight::{FlightData, Ticket};
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Frame;
use planner::CacheReport;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tonic::Status;
use tonic::codec::{Codec, Streaming};
use tonic_prost::ProstCodec;

use super::{Call, Flight};
use crate::edge::cache_headers;
use crate::ipc;
use crate::peer::Peer;

/// The path of the call.
pub(super) const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";

/// Numbers of FlightData's fields (Flight.proto).
const DATA_HEADER: u32 = 2;
const DATA_BODY: u32 = 1000;
/// Bytes before every gRPC message.
const PREFIX: usize = 5;
/// Pieces shorter than this are put together: a frame of their own costs more than the copy.
const PIECE_MIN: usize = 2 << 10;

/// One message in the pieces that are written one after the other.
#[derive(Debug, Default)]
pub(super) struct Frames(VecDeque<Bytes>);

/// Messages as they come.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<Frames, Status>> + Send + 'static>>;

/// An answer: its messages, and what the cache had of its rows.
pub(super) struct Given {
    pub(super) messages: Messages,
    pub(super) cache: Option<CacheReport>,
}

impl From<Messages> for Given {
    fn from(messages: Messages) -> Self {
        Self {
            messages,
            cache: None,
        }
    }
}

impl Frames {
    /// The message that begins every stream.
    pub(super) fn schema(schema: &Schema) -> Self {
        Self::flight(&super::encode::schema_message(schema))
    }

    /// Any message, copied.
    pub(super) fn flight(message: &FlightData) -> Self {
        let length = message.encoded_len();
        let mut bytes = BytesMut::with_capacity(PREFIX + length);
        put_prefix(&mut bytes, length);
        message.encode_raw(&mut bytes);
        Self(VecDeque::from([bytes.freeze()]))
    }

    /// Rows, whose bytes stay where they are.
    ///
    /// # Errors
    /// See [`ipc::message`].
    pub(super) fn rows(batch: &arrow::array::RecordBatch) -> Result<(Self, usize), ArrowError> {
        let message = ipc::message(batch)?;
        let header = message.header.len();
        let length = key_len(DATA_HEADER)
            + encoded_len_varint(header as u64)
            + header
            + key_len(DATA_BODY)
            + encoded_len_varint(message.body_bytes as u64)
            + message.body_bytes;
        let mut small = BytesMut::with_capacity(PREFIX + header + 64);
        put_prefix(&mut small, length);
        encode_key(DATA_HEADER, WireType::LengthDelimited, &mut small);
        encode_varint(header as u64, &mut small);
        small.put_slice(&message.header);
        encode_key(DATA_BODY, WireType::LengthDelimited, &mut small);
        encode_varint(message.body_bytes as u64, &mut small);
        let mut pieces = VecDeque::with_capacity(message.body.len() + 1);
        for piece in message.body {
            if piece.len() < PIECE_MIN {
                small.put_slice(&piece);
                continue;
            }
            if !small.is_empty() {
                pieces.push_back(small.split().freeze());
            }
            pieces.push_back(piece);
        }
        if !small.is_empty() {
            pieces.push_back(small.freeze());
        }
        Ok((Self(pieces), message.body_bytes))
    }
}

/// "Compressed-Flag Message-Length". A message is about a mebibyte, so its length fits.
fn put_prefix(bytes: &mut BytesMut, length: usize) {
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Answers DoGet: tonic reads the request, the body is ours.
pub(super) async fn do_get(State(flight): State<Flight>, request: Request) -> http::Response<Body> {
    let (head, body) = request.into_parts();
    let decoder = ProstCodec::<Ticket, Ticket>::default().decoder();
    let mut messages = Streaming::new_request(decoder, body, None, Some(flight.message_max));
    let call = Call::named("DoGet", head.headers, Peer::of(&head.extensions));
    let ticket = match messages.message().await {
        Ok(Some(ticket)) => ticket,
        Ok(None) => return Status::internal("the call carries no ticket").into_http(),
        Err(status) => return status.into_http(),
    };
    let outcome = flight.rows(&call, &ticket).await;
    match call.close(&flight.app, outcome) {
        Ok(Given { messages, cache }) => {
            let mut response = http::Response::new(Body::new(Answer {
                messages,
                current: Frames::default(),
                is_over: false,
            }));
            let grpc = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, grpc);
            if let Some(cache) = &cache {
                cache_headers(cache, response.headers_mut());
            }
            response
        }
        Err(status) => status.into_http(),
    }
}

/// A small answer that is complete.
pub(super) fn whole(messages: Vec<Frames>) -> Messages {
    stream::iter(messages.into_iter().map(Ok)).boxed()
}

/// The body of a call.
struct Answer {
    messages: Messages,
    current: Frames,
    is_over: bool,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(piece) = self.current.0.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let status = match std::task::ready!(self.messages.poll_next_unpin(cx)) {
                Some(Ok(frames)) => {
                    self.current = frames;
                    continue;
                }
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
            self.is_over = true;
            // What runs is let go at once and not when the client has read the last byte.
            self.messages = stream::empty().boxed();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.current.0.is_empty()
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        // Only a message that no header can hold comes here, and ours are percent-encoded.
        trailers.clear();
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    trailers
}
