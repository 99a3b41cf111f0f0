//! Cursors: where the next page begins, sealed like a ticket. A cursor is bound to its principal, carries the whole
//! query and the versions of the tables, and expires like a ticket; any damage gives the one answer of `ticket.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use planner::Pins;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::{Error, Result};
use crate::rest::ask::Ask;
use crate::rest::filter::Filters;
use crate::rest::identifier::DatasetName;
use crate::rest::order::OrderTerm;
use crate::rest::select::Position;
use crate::session::RequestContext;
use crate::ticket::{self, Purpose, read_values, write_values};

/// Where the next page of a dataset query begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    dataset: String,
    columns: Option<Vec<String>>,
    /// As JSON text.
    filters: Option<String>,
    order: Option<Vec<OrderTerm>>,
    keys: Vec<OrderTerm>,
    limit: u64,
    pins: Pins,
    /// The values of the keys as an Arrow IPC stream.
    position: Vec<u8>,
    ties: u64,
}

impl Purpose for Cursor {
    const NAME: &'static str = "cursor";
}

/// Where the next page of a listing begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ListingCursor {
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) search: Option<String>,
    /// Catalog, schema and name of the last table given.
    pub(super) after: (String, String, String),
}

impl Purpose for ListingCursor {
    const NAME: &'static str = "listing";
}

/// A query with everything that its next page must repeat.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// The dataset.
    pub(super) name: DatasetName,
    /// The query.
    pub(super) ask: Ask,
    /// A total order.
    pub(super) keys: Vec<OrderTerm>,
    /// Rows in a page.
    pub(super) limit: u64,
    /// The versions to read.
    pub(super) pins: Pins,
}

impl Course {
    /// The course of a cursor's text, and where its page begins. What `ask` says beside the cursor must agree with it.
    ///
    /// # Errors
    /// `Ticket` for a text that is no cursor of this caller and dataset, `TicketExpired` for one that is too old,
    /// `Malformed` for another query beside it.
    pub(super) fn resume(
        app: &App,
        context: &RequestContext,
        name: &DatasetName,
        ask: &Ask,
        text: &str,
    ) -> Result<(Self, Position)> {
        let cursor: Cursor = open(app, context, text)?;
        if cursor.dataset != name.to_string() {
            return Err(Error::Ticket);
        }
        let filters = cursor.filters.as_deref().map(serde_json::from_str).transpose();
        let filters = filters.map_err(|_| Error::Ticket)?.map(Filters);
        let carried = Ask {
            columns: cursor.columns,
            filters,
            order: cursor.order,
            limit: None,
            cursor: None,
        };
        agree("columns", ask.columns.as_ref(), carried.columns.as_ref())?;
        agree("filters", ask.filters.as_ref(), carried.filters.as_ref())?;
        agree("order", ask.order.as_ref(), carried.order.as_ref())?;
        let position = Position {
            values: read_values(&cursor.position)?,
            ties: cursor.ties,
        };
        let limit = ask.limit.unwrap_or(cursor.limit);
        let course = Self {
            name: name.clone(),
            ask: carried,
            keys: cursor.keys,
            limit,
            pins: cursor.pins,
        };
        Ok((course, position))
    }

    /// The cursor for the page that begins at `position`.
    ///
    /// # Errors
    /// `Internal` when encoding fails.
    pub(super) fn cursor(&self, app: &App, context: &RequestContext, position: &Position) -> Result<String> {
        let cursor = Cursor {
            dataset: self.name.to_string(),
            columns: self.ask.columns.clone(),
            filters: self.ask.filters.as_ref().map(|filters| filters.0.to_string()),
            order: self.ask.order.clone(),
            keys: self.keys.clone(),
            limit: self.limit,
            pins: self.pins.clone(),
            position: write_values(&position.values)?,
            ties: position.ties,
        };
        close(app, context, cursor)
    }
}

fn agree<T: PartialEq>(what: &str, asked: Option<&T>, carried: Option<&T>) -> Result<()> {
    match asked {
        Some(asked) if Some(asked) != carried => Err(Error::Malformed {
            what: "cursor",
            problem: format!("it was made for other {what}"),
        }),
        _ => Ok(()),
    }
}

/// A cursor as text for the caller.
///
/// # Errors
/// `Internal` when encoding fails.
pub(super) fn close<T: Purpose>(app: &App, context: &RequestContext, cursor: T) -> Result<String> {
    let lifetime = app.config.limits.ticket_lifetime;
    let bytes = ticket::seal(&app.seal, &context.principal, &context.session, lifetime, cursor)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The cursor in a caller's text.
///
/// # Errors
/// `Ticket` for anything that [`close`] did not make for this caller, `TicketExpired` when it is too old.
pub(super) fn open<T: Purpose>(app: &App, context: &RequestContext, text: &str) -> Result<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Ticket)?;
    Ok(ticket::open(&app.seal, &context.principal, &bytes)?.content)
}
