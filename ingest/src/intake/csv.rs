//! Rows of comma separated values as JSON objects of texts; an empty field is null.

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};

use super::{Bounds, Collected, Record, Refused};
use crate::json::write::quoted;

/// One record a row, named by the first line.
pub(super) fn rows(body: &Bytes, bounds: &Bounds) -> Result<Vec<Record>, Refused> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(body);
    let names = names(reader.byte_headers())?;
    let mut collected = Collected::new(bounds);
    let mut row = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(collected.records),
            Err(error) => return Err(unreadable(error.to_string())),
        }
        let place = row.position().map_or(0, csv::Position::line);
        collected.push(record(&names, &row, place))?;
    }
}

fn names(header: Result<&ByteRecord, csv::Error>) -> Result<Vec<String>, Refused> {
    let header = header.map_err(|error| unreadable(error.to_string()))?;
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for field in header {
        let name = std::str::from_utf8(field)
            .map_err(|_| unreadable("a name in the first line is not UTF-8".to_owned()))?;
        let name = name.trim();
        if name.is_empty() || names.iter().any(|other| other == name) {
            return Err(unreadable(format!(
                "the name {name:?} in the first line is empty or stands twice"
            )));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn record(names: &[String], row: &ByteRecord, place: u64) -> Record {
    let as_sent = || {
        let fields: Vec<&[u8]> = row.iter().collect();
        Bytes::from(fields.join(&b','))
    };
    if row.len() != names.len() {
        let problem = format!("a row of {} fields under {} names", row.len(), names.len());
        return Record::bad(as_sent(), place, problem);
    }
    let mut object = String::from("{");
    for (name, field) in names.iter().zip(row) {
        let Ok(text) = std::str::from_utf8(field) else {
            return Record::bad(as_sent(), place, format!("the field {name} is not UTF-8"));
        };
        if object.len() > 1 {
            object.push(',');
        }
        quoted(name, &mut object);
        object.push(':');
        if text.is_empty() {
            object.push_str("null");
        } else {
            quoted(text, &mut object);
        }
    }
    object.push('}');
    Record::good(object.into(), place)
}

fn unreadable(problem: String) -> Refused {
    Refused::File {
        format: "csv",
        problem,
    }
}
