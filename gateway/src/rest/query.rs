//! Rows of one dataset: `preview`, and `query` with columns, filters, order and pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use planner::{Pins, Query};

use crate::app::App;
use crate::error::Error;
use crate::rest::accept::{Shape, ShapeArguments, shape};
use crate::rest::arguments::Arguments;
use crate::rest::ask::{Ask, AskArguments};
use crate::rest::caller::Caller;
use crate::rest::columns::Columns;
use crate::rest::cursor::Course;
use crate::rest::datasets::find;
use crate::rest::deliver::{Work, deliver};
use crate::rest::document::Document;
use crate::rest::encode::Rows;
use crate::rest::identifier::DatasetName;
use crate::rest::order::{check, total};
use crate::rest::page::Page;
use crate::rest::problem::{Problem, Refusal};
use crate::rest::select::{Position, select};
use crate::session::RequestContext;

/// Rows of a preview, unless the caller says otherwise.
const PREVIEW: u64 = 20;

/// Shows some rows of a dataset, whichever come first.
#[utoipa::path(
    get,
    path = "/v1/datasets/{id}/preview",
    tag = "datasets",
    params(
        ("id" = String, Path, description = "catalog.schema.table", example = "lake.gold.lineitem"),
        ("limit" = Option<u64>, Query, minimum = 1, description = "Rows, 20 when absent; the gateway's config bounds both."),
        ShapeArguments,
    ),
    responses(
        (status = 200, description = "The rows.", content(
            (Rows = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "The call is at fault.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    Caller(context): Caller,
    headers: HeaderMap,
    name: DatasetName,
    mut arguments: Arguments,
) -> Result<Response, Refusal> {
    let shape = shape(&headers, &mut arguments)?;
    let most = app.config.limits.preview_rows_max;
    let limit = arguments.number("limit")?.unwrap_or(PREVIEW.min(most));
    arguments.finish()?;
    if !(1..=most).contains(&limit) {
        let problem = format!("limit takes 1 to {most}, not {limit}");
        return Err(Error::Malformed {
            what: "query string",
            problem,
        }
        .into());
    }
    let place = app.admission.enter(context.principal.subject()).await?;
    find(&app, &context, &name).await?;
    let query = Query {
        rows_max: Some(limit),
        ..Query::new(format!("SELECT * FROM {}", name.sql()))
    };
    deliver(
        &app,
        &context,
        place,
        Work {
            query,
            shape,
            shown: None,
            page: None,
        },
    )
    .await
}

/// Reads rows of a dataset; the query is in the query string.
///
/// Without `limit` the answer has all rows. With it the answer is a page of at most so many, in a total order, and names
/// the cursor of the next: JSON in `next_cursor`, the other formats in the trailer `x-lakegate-next-cursor`, which a
/// client gets when it sends `te: trailers`. All pages read the versions of the first.
#[utoipa::path(
    get,
    path = "/v1/datasets/{id}/query",
    tag = "datasets",
    params(
        ("id" = String, Path, description = "catalog.schema.table", example = "lake.gold.lineitem"),
        AskArguments,
        ShapeArguments,
    ),
    responses(
        (status = 200, description = "The rows.", content(
            (Rows = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "The call is at fault.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn from_arguments(
    State(app): State<Arc<App>>,
    Caller(context): Caller,
    headers: HeaderMap,
    name: DatasetName,
    mut arguments: Arguments,
) -> Result<Response, Refusal> {
    let shape = shape(&headers, &mut arguments)?;
    let ask = Ask::take(&mut arguments)?;
    arguments.finish()?;
    answer(&app, &context, &name, ask, shape).await
}

/// Reads rows of a dataset; the query is in the body. Otherwise as the GET.
#[utoipa::path(
    post,
    path = "/v1/datasets/{id}/query",
    tag = "datasets",
    params(
        ("id" = String, Path, description = "catalog.schema.table", example = "lake.gold.lineitem"),
        ShapeArguments,
    ),
    request_body = Ask,
    responses(
        (status = 200, description = "The rows.", content(
            (Rows = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "The call is at fault.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn from_document(
    State(app): State<Arc<App>>,
    Caller(context): Caller,
    headers: HeaderMap,
    name: DatasetName,
    mut arguments: Arguments,
    Document(ask): Document<Ask>,
) -> Result<Response, Refusal> {
    let shape = shape(&headers, &mut arguments)?;
    arguments.finish()?;
    answer(&app, &context, &name, ask, shape).await
}

async fn answer(
    app: &Arc<App>,
    context: &RequestContext,
    name: &DatasetName,
    ask: Ask,
    shape: Shape,
) -> Result<Response, Refusal> {
    if ask.limit == Some(0) {
        let problem = "limit takes 1 or more".to_owned();
        return Err(Error::Malformed {
            what: "query",
            problem,
        }
        .into());
    }
    let place = app.admission.enter(context.principal.subject()).await?;
    let work = match &ask.cursor {
        Some(text) => {
            let (course, position) = Course::resume(app, context, name, &ask, text)?;
            let (columns, _) = describe(app, context, name, course.pins.clone()).await?;
            continued(&columns, course, Some(position), shape)?
        }
        None => {
            let table = find(app, context, name).await?;
            let (columns, pins) = describe(app, context, name, Pins::default()).await?;
            let order = ask.order.clone().unwrap_or_default();
            check(&order, &columns)?;
            match (ask.limit, total(&order, &table, &columns)) {
                (Some(limit), Some(keys)) => {
                    let course = Course {
                        name: name.clone(),
                        ask,
                        keys,
                        limit,
                        pins,
                    };
                    continued(&columns, course, None, shape)?
                }
                (limit, _) => once(name, &columns, &ask, pins, limit, shape)?,
            }
        }
    };
    deliver(app, context, place, work).await
}

/// The columns that the caller may name, and the versions that they are of.
async fn describe(
    app: &App,
    context: &RequestContext,
    name: &DatasetName,
    pins: Pins,
) -> Result<(Columns, Pins), Refusal> {
    let query = Query {
        pins,
        rows_max: Some(0),
        ..Query::new(format!("SELECT * FROM {}", name.sql()))
    };
    let described = app
        .engine
        .describe(&context.request(&query.sql).await?, &query)
        .await?;
    Ok((Columns(described.schema), described.pins))
}

/// A page that others may follow.
fn continued(
    columns: &Columns,
    course: Course,
    position: Option<Position>,
    shape: Shape,
) -> Result<Work, Error> {
    let select = select(
        &course.name,
        columns,
        &course.ask,
        Some(&course.keys),
        position.as_ref(),
    )?;
    let pins = course.pins.clone();
    let page = Page::of(course, select.keys, position);
    let query = Query {
        pins,
        rows_max: Some(page.rows_wanted()),
        ..select.query
    };
    Ok(Work {
        query,
        shape,
        shown: Some(select.shown),
        page: Some(page),
    })
}

/// All rows, or the first of rows that have no total order.
fn once(
    name: &DatasetName,
    columns: &Columns,
    ask: &Ask,
    pins: Pins,
    limit: Option<u64>,
    shape: Shape,
) -> Result<Work, Error> {
    let select = select(name, columns, ask, None, None)?;
    let page = limit.map(Page::cut);
    let query = Query {
        pins,
        rows_max: page.as_ref().map(Page::rows_wanted),
        ..select.query
    };
    Ok(Work {
        query,
        shape,
        shown: Some(select.shown),
        page,
    })
}
