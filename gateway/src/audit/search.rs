//! Finds requests in the trail. The records of one request are put together into one object, in the order of their ends.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::folder::files;
use super::verify::lines;

/// Which requests are wanted; what is not set does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Who asked, or claimed to be it and was refused, letter by letter.
    pub(crate) user: Option<String>,
    /// The tenant, letter by letter.
    pub(crate) tenant: Option<String>,
    /// The id of the request.
    pub(crate) request: Option<String>,
    /// A table that was read, by its full name, or the catalog or schema that it is in.
    pub(crate) table: Option<String>,
    /// A column that was read.
    pub(crate) column: Option<String>,
    /// How it ended: ok, failed, cancelled, lost or open.
    pub(crate) outcome: Option<String>,
    /// The code of the failure, such as LG2001.
    pub(crate) code: Option<String>,
    /// Begun at this time or later, as RFC 3339 in UTC.
    pub(crate) since: Option<String>,
    /// Begun before this time.
    pub(crate) until: Option<String>,
}

impl Filter {
    fn wants(&self, request: &Map<String, Value>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&Value>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| found.and_then(Value::as_str) == Some(wanted))
        };
        let who = request.get("who");
        let of_who = |key: &str| who.and_then(|who| who.get(key));
        let begun = request.get("at").and_then(Value::as_str).unwrap_or_default();
        is(&self.user, of_who("subject").or(request.get("claims")))
            && is(&self.tenant, of_who("tenant"))
            && is(&self.request, request.get("request"))
            && is(&self.outcome, request.get("outcome"))
            && is(&self.code, request.get("code"))
            && self.wants_object(request)
            && self.since.as_deref().is_none_or(|since| begun >= since)
            && self.until.as_deref().is_none_or(|until| begun < until)
    }

    fn wants_object(&self, request: &Map<String, Value>) -> bool {
        if self.table.is_none() && self.column.is_none() {
            return true;
        }
        let tables = request.get("tables").and_then(Value::as_array);
        tables.into_iter().flatten().any(|read| {
            let name = read.get("table").and_then(Value::as_str).unwrap_or_default();
            let columns = read.get("columns").and_then(Value::as_array);
            self.table.as_deref().is_none_or(|wanted| is_within(name, wanted))
                && self.column.as_ref().is_none_or(|wanted| {
                    let mut columns = columns.into_iter().flatten();
                    columns.any(|column| column.as_str() == Some(wanted))
                })
        })
    }
}

/// Whether a table has this name, or is in the catalog or schema of this name.
fn is_within(table: &str, wanted: &str) -> bool {
    table
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Gives each request that the filter wants, as it reads on. Those that have no end come last, as `open`.
///
/// # Errors
/// A sentence that names the file at fault, or whatever `each` gives. That nothing was changed is for `verify` to say.
pub(crate) fn search(
    folder: &Path,
    filter: &Filter,
    mut each: impl FnMut(&Map<String, Value>) -> Result<(), String>,
) -> Result<(), String> {
    let found = files(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut open: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    for path in found {
        let fault = |problem: String| format!("{}: {problem}", path.display());
        let take = |line: &[u8]| {
            let record = serde_json::from_slice(line).map_err(|error| fault(error.to_string()))?;
            match add(&mut open, record).filter(|request| filter.wants(request)) {
                Some(request) => each(&request),
                None => Ok(()),
            }
        };
        lines(&path, take, fault)?;
    }
    for (_, mut request) in open {
        request.insert("outcome".to_owned(), Value::from("open"));
        if filter.wants(&request) {
            each(&request)?;
        }
    }
    Ok(())
}

/// Adds a record to its request; the request, when that was its end.
fn add(
    open: &mut BTreeMap<u64, Map<String, Value>>,
    mut record: Map<String, Value>,
) -> Option<Map<String, Value>> {
    let seq = record.get("seq").and_then(Value::as_u64)?;
    let kind = record.remove("kind")?;
    for key in ["prev", "hash"] {
        record.remove(key);
    }
    match kind.as_str()? {
        "start" => {
            open.insert(seq, record);
            None
        }
        "command" | "statement" | "read" => {
            let request = open.get_mut(&record.get("of").and_then(Value::as_u64)?)?;
            for key in ["seq", "at", "of"] {
                record.remove(key);
            }
            request.extend(record);
            None
        }
        "end" | "lost" => {
            let mut request = open.remove(&record.get("of").and_then(Value::as_u64)?)?;
            let ended = record.remove("at").unwrap_or_default();
            for key in ["seq", "of"] {
                record.remove(key);
            }
            request.extend(record);
            request.insert("ended".to_owned(), ended);
            request.entry("outcome").or_insert_with(|| Value::from("lost"));
            Some(request)
        }
        _ => None,
    }
}
