//! `/v1/datasets`: which tables the caller may know, and what they are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, VARY};
use planner::{Pattern, Query, Table, TableFilter, TableKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::edge::{plain_type, table_schema};
use crate::error::{Error, Result};
use crate::rest::accept::{self, Format, LISTING, SCHEMA};
use crate::rest::arguments::Arguments;
use crate::rest::caller::Caller;
use crate::rest::cursor::{ListingCursor, close, open};
use crate::rest::encode::schema_stream;
use crate::rest::identifier::DatasetName;
use crate::rest::problem::{Problem, Refusal};
use crate::session::RequestContext;

/// Datasets in a page of the listing, unless the caller says otherwise.
const PAGE: u64 = 100;
/// Datasets in a page of the listing, at most.
const PAGE_MAX: u64 = 1_000;

/// A dataset in the listing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entry {
    /// Names the dataset in paths: catalog, schema and table with dots between.
    #[schema(example = "lake.gold.lineitem")]
    id: String,
    #[schema(example = "lake")]
    catalog: String,
    #[schema(example = "gold")]
    schema: String,
    #[schema(example = "lineitem")]
    name: String,
    /// `table` or `view`.
    #[schema(example = "table")]
    kind: &'static str,
}

/// A page of the listing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listing {
    /// The datasets, sorted by id.
    datasets: Vec<Entry>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
    /// Names the request.
    request_id: String,
}

/// A column of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Column {
    #[schema(example = "l_shipdate")]
    name: String,
    /// The SQL type.
    #[serde(rename = "type")]
    #[schema(example = "DATE")]
    kind: String,
    /// The Arrow type that results have.
    #[schema(example = "Date32")]
    arrow_type: String,
    /// Whether values may be missing.
    nullable: bool,
    /// What the owner says about it.
    comment: Option<String>,
}

/// A dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Detail {
    #[serde(flatten)]
    entry: Entry,
    /// What the owner says about it.
    comment: Option<String>,
    /// The columns that identify a row, in order; empty when the table declares none.
    #[schema(example = json!(["l_orderkey", "l_linenumber"]))]
    primary_key: Vec<String>,
    /// The columns in order.
    columns: Vec<Column>,
    /// Names the request.
    request_id: String,
}

/// The columns of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DatasetSchema {
    #[schema(example = "lake.gold.lineitem")]
    id: String,
    /// The columns in order.
    columns: Vec<Column>,
    /// Names the request.
    request_id: String,
}

/// Which datasets.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListingArguments {
    /// Only those of this catalog.
    #[param(example = "lake")]
    catalog: Option<String>,
    /// Only those of this schema.
    #[param(example = "gold")]
    schema: Option<String>,
    /// Only those whose name has this text in it, whatever the case of its letters.
    #[param(example = "line")]
    search: Option<String>,
    /// Datasets in a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListingArguments {
    fn take(arguments: &mut Arguments) -> Result<Self> {
        Ok(Self {
            catalog: arguments.text("catalog"),
            schema: arguments.text("schema"),
            search: arguments.text("search"),
            limit: arguments.number("limit")?,
            cursor: arguments.text("cursor"),
        })
    }
}

/// Lists the datasets that the caller may read.
#[utoipa::path(
    get,
    path = "/v1/datasets",
    tag = "datasets",
    params(ListingArguments),
    responses(
        (status = 200, description = "A page of datasets.", body = Listing),
        (status = "4XX", description = "The call is at fault.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Caller(context): Caller,
    headers: HeaderMap,
    mut arguments: Arguments,
) -> Result<Json<Listing>, Refusal> {
    accept::format(&headers, &mut arguments, &LISTING)?;
    let asked = ListingArguments::take(&mut arguments)?;
    arguments.finish()?;
    let limit = asked.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        let problem = format!("limit takes 1 to {PAGE_MAX}, not {limit}");
        return Err(Error::Malformed {
            what: "query string",
            problem,
        }
        .into());
    }
    let page = begin(&app, &context, asked)?;
    let filter = TableFilter {
        catalog: page.catalog.clone(),
        schema: page.schema.as_deref().map(exactly),
        ..TableFilter::default()
    };
    let wanted = page.search.as_ref().map(|search| search.to_lowercase());
    let key = |table: &Table| (table.catalog.clone(), table.schema.clone(), table.name.clone());
    let mut tables = app.engine.tables(context.lister()?, &filter).await?;
    tables.retain(|table| {
        wanted
            .as_ref()
            .is_none_or(|text| table.name.to_lowercase().contains(text))
    });
    tables.sort_by_key(key);
    let mut rest = tables.into_iter().filter(|table| key(table) > page.after);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let given: Vec<Table> = rest.by_ref().take(most).collect();
    let next_cursor = match (rest.next(), given.last()) {
        (Some(_), Some(last)) => Some(close(
            &app,
            &context,
            ListingCursor {
                after: key(last),
                ..page
            },
        )?),
        _ => None,
    };
    Ok(Json(Listing {
        datasets: given.iter().map(entry).collect(),
        next_cursor,
        request_id: context.id,
    }))
}

/// The page that is asked for: the first of its filters, or the one that a cursor begins.
fn begin(app: &App, context: &RequestContext, asked: ListingArguments) -> Result<ListingCursor> {
    let Some(text) = asked.cursor else {
        let (catalog, schema, search) = (asked.catalog, asked.schema, asked.search);
        return Ok(ListingCursor {
            catalog,
            schema,
            search,
            after: <(String, String, String)>::default(),
        });
    };
    let cursor: ListingCursor = open(app, context, &text)?;
    let pairs = [
        ("catalog", &asked.catalog, &cursor.catalog),
        ("schema", &asked.schema, &cursor.schema),
        ("search", &asked.search, &cursor.search),
    ];
    let differs = pairs
        .into_iter()
        .find(|(_, asked, carried)| asked.is_some() && asked != carried);
    if let Some((what, ..)) = differs {
        return Err(Error::Malformed {
            what: "cursor",
            problem: format!("it was made for another {what}"),
        });
    }
    Ok(cursor)
}

/// Tells what a dataset is.
#[utoipa::path(
    get,
    path = "/v1/datasets/{id}",
    tag = "datasets",
    params(("id" = String, Path, description = "catalog.schema.table", example = "lake.gold.lineitem")),
    responses(
        (status = 200, description = "The dataset.", body = Detail),
        (status = "4XX", description = "The call is at fault.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn detail(
    State(app): State<Arc<App>>,
    Caller(context): Caller,
    headers: HeaderMap,
    name: DatasetName,
    mut arguments: Arguments,
) -> Result<Json<Detail>, Refusal> {
    accept::format(&headers, &mut arguments, &LISTING)?;
    arguments.finish()?;
    context.lister()?;
    let table = find(&app, &context, &name).await?;
    Ok(Json(Detail {
        entry: entry(&table),
        columns: columns(&table),
        comment: table.comment,
        primary_key: table.primary_key,
        request_id: context.id,
    }))
}

/// Tells the columns of a dataset, as JSON or as the schema of an Arrow IPC stream without rows.
#[utoipa::path(
    get,
    path = "/v1/datasets/{id}/schema",
    tag = "datasets",
    params(
        ("id" = String, Path, description = "catalog.schema.table", example = "lake.gold.lineitem"),
        ("format" = Option<String>, Query, description = "`json` or `arrow`; without it the `Accept` header decides"),
    ),
    responses(
        (status = 200, description = "The columns.", content(
            (DatasetSchema = "application/json"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "The call is at fault.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "The gateway or a source is at fault.", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("basic" = []), ("bearer" = []))
)]
pub(super) async fn schema(
    State(app): State<Arc<App>>,
    Caller(context): Caller,
    headers: HeaderMap,
    name: DatasetName,
    mut arguments: Arguments,
) -> Result<Response, Refusal> {
    let format = accept::format(&headers, &mut arguments, &SCHEMA)?;
    arguments.finish()?;
    context.lister()?;
    let table = find(&app, &context, &name).await?;
    let vary = (VARY, "accept");
    if format == Format::Arrow {
        let fields = table
            .columns
            .as_deref()
            .cloned()
            .unwrap_or_else(arrow::datatypes::Schema::empty);
        let bytes = schema_stream(&table_schema(&fields, &table.catalog, &table.schema, &table.name))?;
        return Ok(([(CONTENT_TYPE, format.media_type()), vary], bytes).into_response());
    }
    let body = DatasetSchema {
        id: name.to_string(),
        columns: columns(&table),
        request_id: context.id,
    };
    Ok(([vary], Json(body)).into_response())
}

/// The dataset of a name, with columns. Absent, denied and not to be opened are told as for a query of it.
///
/// # Errors
/// `UnknownTable`, or the source's failure.
pub(super) async fn find(app: &App, context: &RequestContext, name: &DatasetName) -> Result<Table> {
    let filter = TableFilter {
        catalog: Some(name.catalog.clone()),
        schema: Some(exactly(&name.schema)),
        table: Some(exactly(&name.table)),
        kinds: None,
        with_columns: true,
    };
    let found = app
        .engine
        .tables(&context.principal, &filter)
        .await?
        .into_iter()
        .next();
    if let Some(table) = found.filter(|table| table.columns.is_some()) {
        return Ok(table);
    }
    // A listing is silent about what is wrong; planning a query is not.
    let query = Query {
        rows_max: Some(0),
        ..Query::new(format!("SELECT * FROM {}", name.sql()))
    };
    app.engine
        .describe(&context.request(&query.sql).await?, &query)
        .await?;
    // What can be queried and is not listed is the information schema, which is no dataset.
    Err(planner::Error::UnknownTable {
        name: name.plain(),
        nearest: None,
    }
    .into())
}

/// A pattern that only `name` fits.
fn exactly(name: &str) -> Pattern {
    let mut text = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    Pattern::new(text)
}

fn entry(table: &Table) -> Entry {
    let (catalog, schema, name) = (table.catalog.clone(), table.schema.clone(), table.name.clone());
    let id = DatasetName {
        catalog: catalog.clone(),
        schema: schema.clone(),
        table: name.clone(),
    }
    .to_string();
    let kind = match table.kind {
        TableKind::Table => "table",
        TableKind::View => "view",
    };
    Entry {
        id,
        catalog,
        schema,
        name,
        kind,
    }
}

fn columns(table: &Table) -> Vec<Column> {
    let fields = table.columns.iter().flat_map(|schema| schema.fields().iter());
    fields
        .map(|field| Column {
            name: field.name().clone(),
            kind: planner::type_name(field.data_type()),
            arrow_type: plain_type(field.data_type()).to_string(),
            nullable: field.is_nullable(),
            comment: field.metadata().get(planner::COMMENT_KEY).cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::exactly;

    #[test]
    fn a_name_is_no_pattern() {
        assert!(exactly("a_b%c\\d").matches("a_b%c\\d"));
        assert!(!exactly("a_b").matches("axb"));
        assert!(!exactly("%").matches("anything"));
    }
}
