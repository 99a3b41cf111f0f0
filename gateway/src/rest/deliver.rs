//! Rows out of the engine into the body of a response.
//!
//! Invariants
//! * One batch and one piece of output are held at a time; the client's pace is the engine's.
//! * The first rows are made and written before the head is sent, so that what fails at once fails with its own status.
//! * The place, the registration and the engine's stream live in the body: when the client goes away, all of them end.
//! * A body that fails after its first byte says so where its format has room, and is then broken off; it never ends
//!   like a whole one.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::header::{CONTENT_TYPE, TRAILER, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::Frame;
use planner::{Query, Running};

use crate::admission::Place;
use crate::app::App;
use crate::audit::Outcome;
use crate::edge::{cache_headers, plain_batch, plain_schema};
use crate::error::{Error, Result};
use crate::rest::accept::Shape;
use crate::rest::encode::{Encode, End, encoder};
use crate::rest::page::Page;
use crate::rest::problem::{Refusal, internal};
use crate::running::Registered;
use crate::session::RequestContext;

/// The trailer with the cursor of the next page, for formats without room for it. A client gets it when it sends
/// `te: trailers`.
const NEXT_CURSOR: &str = "x-lakegate-next-cursor";

/// The trailer with the report, for formats without room for it.
const REPORT: &str = "x-lakegate-report";
/// The longest report in a trailer, in bytes: clients and proxies refuse more.
const REPORT_BYTES_MAX: usize = 8 << 10;

/// How often a silent answer asks whether it may go on.
const FENCE_ASKED: Duration = Duration::from_millis(500);

/// A query to run and how to answer it.
pub(super) struct Work {
    /// The statement.
    pub(super) query: Query,
    /// The form of the answer.
    pub(super) shape: Shape,
    /// How many columns the caller gets, from the first; all of them when none.
    pub(super) shown: Option<usize>,
    /// The page to cut the rows to.
    pub(super) page: Option<Page>,
}

/// Runs `work` and answers with its rows. `place` is kept until the last of them is sent.
///
/// # Errors
/// Whatever is wrong with the statement or with its first rows.
pub(super) async fn deliver(
    app: &Arc<App>,
    context: &RequestContext,
    place: Place,
    work: Work,
) -> Result<Response, Refusal> {
    let registered = app.running.register(context.principal.subject(), &context.id);
    let running = app
        .engine
        .run(&context.request(&work.query.sql).await?, &work.query)
        .await?;
    context.entry.read(&running.reads).await?;
    context.entry.streams();
    let cache = running.cached().cloned();
    let plain = plain_schema(&running.schema);
    let shown: Vec<usize> = (0..work.shown.unwrap_or(plain.fields().len())).collect();
    let visible = Arc::new(plain.project(&shown).map_err(|error| internal(&error))?);
    let encoder = encoder(work.shape, &visible);
    let trailers = match (encoder.carries_cursor(), work.page.is_some()) {
        (true, _) => None,
        (false, true) => Some(HeaderValue::from_static(
            "x-lakegate-next-cursor, x-lakegate-report",
        )),
        (false, false) => Some(HeaderValue::from_static(REPORT)),
    };
    let mut rows = Rows {
        app: Arc::clone(app),
        context: context.clone(),
        running,
        registered,
        _place: place,
        plain,
        shown,
        page: work.page,
        encoder,
        current: None,
        given: 0,
        first: Vec::new(),
        stage: Stage::Rows,
    };
    rows.begin().await?;
    let mut response = Response::new(Body::new(Frames {
        frames: Box::pin(stream::unfold(rows, Rows::step)),
    }));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(work.shape.format.media_type()),
    );
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if let Some(cache) = &cache {
        cache_headers(cache, headers);
    }
    if let Some(trailers) = trailers {
        headers.insert(TRAILER, trailers);
    }
    Ok(response)
}

/// What comes next in a body.
enum Stage {
    Rows,
    Trailers(HeaderMap),
    /// The failure has been said; what is left is to break off.
    Broken(Error),
    Done,
}

/// A body in the making.
struct Rows {
    app: Arc<App>,
    context: RequestContext,
    running: Running,
    registered: Registered,
    _place: Place,
    plain: SchemaRef,
    shown: Vec<usize>,
    page: Option<Page>,
    encoder: Box<dyn Encode>,
    /// The batch that is being written, and how many of its rows are.
    current: Option<(RecordBatch, usize)>,
    given: u64,
    /// What was written before the head was sent.
    first: Vec<u8>,
    stage: Stage,
}

type Piece = Result<Frame<Bytes>, Error>;

impl Rows {
    /// Writes the first rows.
    async fn begin(&mut self) -> Result<()> {
        let mut out = Vec::new();
        self.encoder.head(&mut out)?;
        self.current = self.next_batch().await?.map(|batch| (batch, 0));
        if self.current.is_some() {
            self.write(&mut out).await?;
        }
        self.first = out;
        Ok(())
    }

    /// The next frame of the body.
    async fn step(mut self) -> Option<(Piece, Self)> {
        let mut out = std::mem::take(&mut self.first);
        loop {
            if !out.is_empty() {
                return Some((Ok(Frame::data(Bytes::from(out))), self));
            }
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Rows => match self.write(&mut out).await {
                    Ok(true) => self.stage = Stage::Rows,
                    Ok(false) => {}
                    Err(error) => self.break_off(error, &mut out),
                },
                Stage::Trailers(trailers) => return Some((Ok(Frame::trailers(trailers)), self)),
                Stage::Broken(error) => {
                    // The connection writes out what it has when its body has to be waited for, and drops it when the
                    // body fails: this is the pause in which the last words leave.
                    tokio::task::yield_now().await;
                    return Some((Err(error), self));
                }
                Stage::Done => return None,
            }
        }
    }

    /// Writes the next piece of rows, or the end; false after the end.
    async fn write(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        if self.current.is_none() {
            self.current = self.next_batch().await?.map(|batch| (batch, 0));
        }
        let Some((batch, written)) = self.current.take() else {
            self.finish(out)?;
            return Ok(false);
        };
        let count = (batch.num_rows() - written).min(self.encoder.piece_rows());
        let before = out.len();
        self.encoder.rows(&batch.slice(written, count), out)?;
        self.given += count as u64;
        self.app.metrics.sent("rest", count, out.len() - before);
        self.context.entry.sent(count, out.len() - before);
        if written + count < batch.num_rows() {
            self.current = Some((batch, written + count));
        }
        Ok(true)
    }

    /// The next rows that the caller gets; none at the end.
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.registered.cancelled.cancelled() => return Err(planner::Error::Cancelled.into()),
                next = self.running.next() => Some(next),
                () = tokio::time::sleep(FENCE_ASKED) => None,
            };
            // Asked after the wait: what the engine made before the fence fell does not leave after it.
            self.context.fence.check()?;
            let Some(next) = next else { continue };
            let Some(batch) = next.transpose()? else {
                return Ok(None);
            };
            let mut rows = plain_batch(&batch, &self.plain)?;
            if let Some(page) = &mut self.page {
                rows = page.admit(&rows)?;
            }
            if rows.num_rows() > 0 {
                return Ok(Some(rows.project(&self.shown).map_err(|error| internal(&error))?));
            }
        }
    }

    /// Writes the end, and leaves the trailers for the next step where the format has no room for a cursor.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let next_cursor = match &self.page {
            Some(page) => page.next_cursor(&self.app, &self.context)?,
            None => None,
        };
        let report = serde_json::to_string(&self.running.report()).ok();
        let end = End {
            rows: self.given,
            truncated: self.page.as_ref().map(Page::has_more),
            next_cursor: next_cursor.as_deref(),
            request_id: &self.context.id,
            report: report.as_deref(),
        };
        self.encoder.tail(&end, out)?;
        self.context.entry.conclude(Outcome::ok());
        if self.encoder.carries_cursor() {
            return Ok(());
        }
        let mut trailers = HeaderMap::new();
        // A report is not worth an answer: one that is too long, or has letters that no header takes, is left out.
        let report = report.filter(|report| report.len() <= REPORT_BYTES_MAX);
        if let Some(value) = report.and_then(|report| HeaderValue::try_from(report).ok()) {
            trailers.insert(HeaderName::from_static(REPORT), value);
        }
        if let Some(cursor) = next_cursor {
            let value = HeaderValue::try_from(cursor).map_err(|error| Error::Internal {
                message: error.to_string(),
            })?;
            trailers.insert(HeaderName::from_static(NEXT_CURSOR), value);
        }
        if !trailers.is_empty() {
            self.stage = Stage::Trailers(trailers);
        }
        Ok(())
    }

    fn break_off(&mut self, error: Error, out: &mut Vec<u8>) {
        let refusal = Refusal::from(error);
        self.context.entry.conclude(refusal.outcome());
        self.encoder.failure(&refusal.problem(&self.context.id), out);
        self.stage = Stage::Broken(refusal.into_error());
    }
}

/// The body as HTTP reads it.
struct Frames {
    frames: Pin<Box<dyn Stream<Item = Piece> + Send>>,
}

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.frames.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("query", &self.query)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
