//! One conversation with a gateway: runs statements and commands and shows what they give.

use super::Failure;
use super::command::{self, Command, Name};
use super::connection::{Answer, Connection};
use super::print::{Format, Sink};
use super::script;
use arrow::array::{Array, ArrayRef, AsArray as _, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use arrow_flight::IpcMessage;
use arrow_flight::sql::CommandGetTables;
use bytes::Bytes;
use futures::TryStreamExt as _;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How results are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) format: Format,
    /// The most rows of a table; none shows all.
    pub(super) rows_max: Option<usize>,
    pub(super) timing: bool,
    pub(super) to_terminal: bool,
}

/// A connection with its settings.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    settings: Settings,
}

/// Whether the conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Quit,
}

/// What a result came to.
struct Shown {
    columns: usize,
    rows: usize,
    /// Whether the table was cut at its cap.
    more: bool,
}

impl Session {
    pub(super) fn new(connection: Connection, settings: Settings) -> Self {
        Self { connection, settings }
    }

    /// A line that says where we are.
    pub(super) fn greeting(&self) -> String {
        format!(
            "lakegate {} as {} at {}; \\? shows help",
            env!("CARGO_PKG_VERSION"),
            self.connection.user(),
            self.connection.url()
        )
    }

    /// Runs each statement of a text, and each command that stands on a line of its own, until one fails.
    pub(super) async fn run_script(&mut self, text: &str, out: &mut dyn Write) -> Result<(), Failure> {
        let mut buffer = String::new();
        for line in text.lines() {
            if line.trim_start().starts_with('\\') && script::split(&buffer).rest_is_empty {
                if self.command(line, out).await? == Next::Quit {
                    return Ok(());
                }
                continue;
            }
            buffer.push_str(line);
            buffer.push('\n');
            buffer = self.run_complete(&buffer, out).await?;
        }
        match script::split(&buffer) {
            script if script.rest_is_empty => Ok(()),
            script => self.statement(script.rest, out).await,
        }
    }

    /// Runs the statements that are complete and gives back what follows them.
    pub(super) async fn run_complete(&mut self, text: &str, out: &mut dyn Write) -> Result<String, Failure> {
        let script = script::split(text);
        if script.statements.is_empty() {
            return Ok(text.to_owned());
        }
        for statement in script.statements {
            self.statement(statement, out).await?;
        }
        Ok(match script.rest_is_empty {
            true => String::new(),
            false => format!("{}\n", script.rest),
        })
    }

    /// Runs one backslash command.
    pub(super) async fn command(&mut self, line: &str, out: &mut dyn Write) -> Result<Next, Failure> {
        match command::parse(line)? {
            Command::Quit => return Ok(Next::Quit),
            Command::Help => write(out, command::HELP)?,
            Command::Timing(wanted) => {
                self.settings.timing = wanted.unwrap_or(!self.settings.timing);
                let state = if self.settings.timing { "on" } else { "off" };
                write(out, &format!("timing is {state}\n"))?;
            }
            Command::Tables => interruptible(self.list_tables(out)).await?,
            Command::Table(name) => interruptible(self.describe_table(&name, out)).await?,
            Command::Schemas => interruptible(self.list_schemas(out)).await?,
        }
        flush(out)?;
        Ok(Next::Continue)
    }

    async fn statement(&mut self, sql: &str, out: &mut dyn Write) -> Result<(), Failure> {
        let settings = self.settings;
        let begin = Instant::now();
        let shown = interruptible(async {
            let answer = self.connection.query(sql).await?;
            show(answer, &settings, out).await
        });
        let shown = shown.await?;
        if settings.format == Format::Table {
            write(out, &summary(&shown, settings.timing.then(|| begin.elapsed())))?;
        }
        flush(out)
    }

    async fn list_tables(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.connection.tables(CommandGetTables::default()).await?;
        show(answer, &self.listing(), out).await.map(|_| ())
    }

    async fn list_schemas(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.connection.schemas().await?;
        show(answer, &self.listing(), out).await.map(|_| ())
    }

    async fn describe_table(&mut self, name: &Name, out: &mut dyn Write) -> Result<(), Failure> {
        let request = CommandGetTables {
            catalog: name.catalog.clone(),
            db_schema_filter_pattern: name.schema.as_deref().map(pattern),
            table_name_filter_pattern: Some(pattern(&name.table)),
            table_types: Vec::new(),
            include_schema: true,
        };
        let mut rows = self.connection.tables(request).await?.rows;
        let mut found = 0;
        while let Some(batch) = rows.try_next().await? {
            for row in 0..batch.num_rows() {
                let (title, columns) = described(&batch, row)?;
                write(out, &format!("{title}\n"))?;
                let mut sink = Sink::begin(Format::Table, &columns.schema(), self.width(), out)?;
                sink.rows(&columns)?;
                sink.end()?;
                found += 1;
            }
        }
        match found {
            0 => Err(Failure::Command {
                problem: format!("there is no table `{}`; \\d lists the tables", name.table),
            }),
            _ => Ok(()),
        }
    }

    /// Listings are tables and never cut.
    fn listing(&self) -> Settings {
        Settings {
            format: Format::Table,
            rows_max: None,
            ..self.settings
        }
    }

    fn width(&self) -> Option<usize> {
        self.settings.width()
    }
}

impl Settings {
    fn width(&self) -> Option<usize> {
        if !self.to_terminal {
            return None;
        }
        terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
    }
}

/// Writes the rows as they come. Where the cap is reached, the rest is not fetched.
async fn show(answer: Answer, settings: &Settings, out: &mut dyn Write) -> Result<Shown, Failure> {
    let Answer { schema, mut rows } = answer;
    let cap = settings.rows_max.filter(|_| settings.format == Format::Table);
    let mut sink = Sink::begin(settings.format, &schema, settings.width(), out)?;
    let mut shown = Shown {
        columns: schema.fields().len(),
        rows: 0,
        more: false,
    };
    while let Some(batch) = rows.try_next().await? {
        let room = cap.map_or(batch.num_rows(), |cap| cap - shown.rows);
        shown.more = batch.num_rows() > room;
        let visible = batch.slice(0, room.min(batch.num_rows()));
        shown.rows += visible.num_rows();
        sink.rows(&visible)?;
        if shown.more {
            break;
        }
    }
    sink.end()?;
    Ok(shown)
}

fn summary(shown: &Shown, time: Option<Duration>) -> String {
    let rows = match (shown.rows, shown.more) {
        _ if shown.columns == 0 => "done".to_owned(),
        (1, false) => "1 row".to_owned(),
        (rows, false) => format!("{rows} rows"),
        (rows, true) => format!("first {rows} rows, there are more: --rows-max 0 shows all"),
    };
    match time {
        Some(time) => format!("({rows}) in {:.1} ms\n", time.as_secs_f64() * 1_000.0),
        None => format!("({rows})\n"),
    }
}

/// Runs `work` until it is done or Ctrl-C is pressed; then it is dropped, which stops the query at the gateway.
async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        pressed = tokio::signal::ctrl_c() => match pressed {
            Ok(()) => Err(Failure::Cancelled),
            Err(source) => Err(Failure::io("waiting for Ctrl-C", source)),
        },
    }
}

/// A name as a LIKE pattern that only this name fits.
fn pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// The title and the columns of a table, out of a row of GetTables.
fn described(tables: &RecordBatch, row: usize) -> Result<(String, RecordBatch), Failure> {
    let bad = |problem: &str| Failure::Protocol {
        problem: problem.to_owned(),
    };
    let text = |column: &str| -> Option<&str> {
        let column = tables.column_by_name(column)?.as_string_opt::<i32>()?;
        (!column.is_null(row)).then(|| column.value(row))
    };
    let title = [text("catalog_name"), text("db_schema_name"), text("table_name")];
    let title = title.into_iter().flatten().collect::<Vec<_>>().join(".");
    let message: &BinaryArray = tables
        .column_by_name("table_schema")
        .and_then(|column| column.as_binary_opt())
        .ok_or_else(|| bad("a listing has no column table_schema"))?;
    let message = IpcMessage(Bytes::copy_from_slice(message.value(row)));
    let schema = Schema::try_from(message).map_err(|source| Failure::Answer {
        what: format!("the columns of {title} cannot be read"),
        source,
    })?;
    let of = |value: fn(&arrow::datatypes::Field) -> Option<String>| -> ArrayRef {
        Arc::new(
            schema
                .fields()
                .iter()
                .map(|field| value(field))
                .collect::<StringArray>(),
        )
    };
    let columns = RecordBatch::try_from_iter([
        ("column", of(|field| Some(field.name().clone()))),
        ("type", of(|field| Some(planner::type_name(field.data_type())))),
        (
            "nullable",
            of(|field| Some(if field.is_nullable() { "yes" } else { "no" }.to_owned())),
        ),
        (
            "comment",
            of(|field| {
                Some(
                    field
                        .metadata()
                        .get("ARROW:FLIGHT:SQL:REMARKS")
                        .cloned()
                        .unwrap_or_default(),
                )
            }),
        ),
    ]);
    let columns = columns.map_err(|source| Failure::Answer {
        what: "the columns cannot be shown".to_owned(),
        source,
    })?;
    Ok((title, columns))
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())
        .map_err(|source| Failure::io("writing the answer", source))
}

fn flush(out: &mut dyn Write) -> Result<(), Failure> {
    out.flush()
        .map_err(|source| Failure::io("writing the answer", source))
}

#[cfg(test)]
mod tests;
