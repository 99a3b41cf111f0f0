//! `POST /v1/sql`: one statement, its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use planner::{Query, StatementKind};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::rest::accept::{ShapeArguments, shape};
use crate::rest::arguments::Arguments;
use crate::rest::caller::Caller;
use crate::rest::deliver::{Work, deliver};
use crate::rest::document::Document;
use crate::rest::encode::Rows;
use crate::rest::parameters::bind;
use crate::rest::problem::{Problem, Refusal};
use crate::session::RequestContext;

/// A statement to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "sql": "SELECT l_returnflag, count(*) AS lines FROM lake.gold.lineitem WHERE l_shipdate <= ? GROUP BY l_returnflag",
    "params": ["1998-09-02"],
    "limit": 100
}))]
pub(super) struct Statement {
    /// One statement.
    sql: String,
    /// The values of its parameters `?` or `$1` in order: numbers, texts, booleans and null. Dates, times and
    /// timestamps are ISO 8601 texts, bytes base64; a whole or decimal number that JSON cannot carry exactly may be a
    /// text.
    #[serde(default)]
    #[schema(value_type = Vec<Value>)]
    params: Vec<Value>,
    /// The catalog of names with fewer than three parts.
    #[schema(example = "lake")]
    catalog: Option<String>,
    /// The schema of names with one part.
    #[schema(example = "gold")]
    schema: Option<String>,
    /// The time zone of `now()` and of timestamps without one.
    #[schema(example = "Europe/Zurich")]
    time_zone: Option<String>,
    /// At most so many rows.
    limit: Option<u64>,
    /// Session settings for this call, such as `lakegate.pushdown`, `lakegate.max_rows_from_source` and
    /// `lakegate.max_staleness`, as texts.
    #[serde(default)]
    #[schema(example = json!({"lakegate.pushdown": "require"}))]
    settings: BTreeMap<String, String>,
}

/// Runs one statement and answers with its rows.
#[utoipa::path(
    post,
    path = "/v1/sql",
    tag = "sql",
    params(ShapeArguments),
    request_body = Statement,
    responses(
        (status = 200, description = "The rows.", content(
            (Rows = "application/json"),
            (String = "application/x-ndjson", example = json!("{\"l_returnflag\":\"A\",\"lines\":1478493}\n")),
            (String = "text/csv", example = json!("l_returnflag,lines\r\nA,1478493\r\n")),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "The statement or the call is at fault.", body = Problem,
            content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn run(
    State(app): State<Arc<App>>,
    Caller(mut context): Caller,
    headers: HeaderMap,
    mut arguments: Arguments,
    Document(statement): Document<Statement>,
) -> Result<Response, Refusal> {
    let shape = shape(&headers, &mut arguments)?;
    arguments.finish()?;
    enter_session(&app, &mut context, &statement).await?;
    let place = app.admission.enter(context.principal.subject()).await?;
    let query = prepare(&app, &context, statement).await?;
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

/// The session that the call describes. It ends with the call.
async fn enter_session(
    app: &App,
    context: &mut RequestContext,
    statement: &Statement,
) -> Result<(), Refusal> {
    if let Some(catalog) = &statement.catalog {
        context.session.catalog.clone_from(catalog);
    }
    if let Some(schema) = &statement.schema {
        context.session.schema.clone_from(schema);
    }
    let zone = statement.time_zone.iter().map(|zone| ("timezone", zone));
    let settings = statement
        .settings
        .iter()
        .map(|(key, value)| (key.as_str(), value));
    let assignments: Vec<(String, String)> = zone
        .chain(settings)
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    if !assignments.is_empty() {
        context.session = app
            .engine
            .set(&context.principal, &context.session, &assignments)
            .await?;
    }
    Ok(())
}

/// The statement with its values, on the versions that it was described with.
async fn prepare(app: &App, context: &RequestContext, statement: Statement) -> Result<Query, Refusal> {
    // A limit keeps the engine from cutting the result into parts that nobody fetches.
    let mut query = Query {
        rows_max: Some(0),
        ..Query::new(statement.sql)
    };
    let described = app
        .engine
        .describe(&context.request(&query.sql).await?, &query)
        .await?;
    if let StatementKind::Set(_) = described.kind {
        return Err(no_session());
    }
    query.parameters = bind(&statement.params, &described.parameters)?;
    query.pins = described.pins;
    query.rows_max = statement.limit;
    Ok(query)
}

fn no_session() -> Refusal {
    let error = planner::Error::Invalid {
        message: "SET and USE change a session, and a call to this API has none".to_owned(),
        hint: Some("pass catalog, schema, time_zone or settings in the request".to_owned()),
    };
    Refusal::from(Error::from(error))
}
