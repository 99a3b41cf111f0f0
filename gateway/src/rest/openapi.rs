//! The description of the API (OpenAPI, at `/openapi.json`) and the page that shows it (`/docs`). Both are built into
//! the program; the page loads nothing from elsewhere.

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use std::borrow::Cow;
use utoipa::openapi::schema::{AdditionalProperties, Array, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Schema};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::error::Error;
use crate::rest::filter::{Filters, OPERATORS};
use crate::rest::problem::Refusal;
use crate::rest::{ask, datasets, encode, health, order, problem, query, sql};

/// What the API is.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Lakegate",
        description = "SQL and datasets over HTTP. Rows come as JSON, NDJSON, CSV or Arrow, by `Accept` or `format`; \
            failures are problems (RFC 9457) with a stable code. Integers are JSON numbers also above 2^53, decimals \
            exact numbers, timestamps ISO 8601, bytes base64, NaN and the infinities the texts NaN, Infinity and \
            -Infinity. A body that ends without its end (`row_count` in JSON, the end mark of Arrow, a regular end of \
            the HTTP message) is not a whole answer.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        sql::run,
        datasets::list,
        datasets::detail,
        datasets::schema,
        query::preview,
        query::from_arguments,
        query::from_document,
        health::health,
    ),
    components(schemas(
        sql::Statement,
        ask::Ask,
        Filters,
        order::OrderTerm,
        encode::Rows,
        encode::AnswerColumn,
        datasets::Listing,
        datasets::Entry,
        datasets::Detail,
        datasets::DatasetSchema,
        datasets::Column,
        problem::Problem,
        health::Health,
    )),
    tags(
        (name = "sql", description = "Statements."),
        (name = "datasets", description = "Tables that the caller may read, and their rows."),
        (name = "gateway", description = "The gateway itself."),
    ),
    modifiers(&Schemes)
)]
struct Api;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let basic = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some("User and password."));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of this gateway, as the Flight SQL handshake gives it.",
            ));
        components.add_security_scheme("basic", SecurityScheme::Http(basic.build()));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    }
}

impl ToSchema for Filters {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Filters")
    }
}

impl PartialSchema for Filters {
    /// A tree; the type in Rust is any JSON, because our own reader names the node at fault.
    fn schema() -> RefOr<Schema> {
        let inner = || RefOr::Ref(Ref::from_schema_name("Filters"));
        let list = || Array::new(inner());
        let branch = |word: &str, schema: RefOr<Schema>| {
            ObjectBuilder::new()
                .property(word, schema)
                .required(word)
                .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        };
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let leaf = ObjectBuilder::new()
            .property("column", text().description(Some("The column.")))
            .required("column")
            .property("op", text().enum_values(Some(OPERATORS)))
            .required("op")
            .property(
                "value",
                ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(
                    "A value of the column's type; a list for `in`, two of them for `between`, absent for `is_null` and \
                     `is_not_null`. Dates and timestamps are ISO 8601 texts, bytes base64.",
                )),
            )
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        OneOfBuilder::new()
            .description(Some(
                "A condition, a combination of conditions, or a list of which all hold.",
            ))
            .item(leaf)
            .item(branch("and", list().into()))
            .item(branch("or", list().into()))
            .item(branch("not", inner()))
            .item(list())
            .examples([json!({"column": "l_shipdate", "op": "ge", "value": "1998-09-02"})])
            .into()
    }
}

/// The document.
pub(super) fn document() -> Document {
    Api::openapi()
}

/// `/openapi.json` and `/docs`.
pub(super) fn browser<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let config = Config::default()
        .persist_authorization(false)
        .try_it_out_enabled(true);
    SwaggerUi::new("/docs")
        .config(config)
        .url("/openapi.json", document())
        .into()
}

/// The pages answer with bare statuses; here they become problems.
pub(super) async fn missing_page(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    match response.status() {
        StatusCode::NOT_FOUND => Refusal::from(Error::NotFound {
            what: "page",
            name: path,
        })
        .into_response(),
        _ => response,
    }
}
