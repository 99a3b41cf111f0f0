//! The progress of the sample on standard error: a bar on a terminal, lines elsewhere, nothing when there is nothing to do.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingest::Progress;
use ingest::sample::Loaded;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Bar {
    /// Hidden where standard error is not a terminal.
    bar: ProgressBar,
    lines: bool,
    started: Instant,
    table: Mutex<Table>,
}

/// The table that is being made.
#[derive(Debug, Default)]
struct Table {
    rows_total: u64,
    rows: u64,
}

impl Bar {
    /// A bar over all rows of all tables.
    pub(super) fn new(rows_total: u64) -> Self {
        let lines = !std::io::stderr().is_terminal();
        let target = if lines {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(rows_total), target);
        // The template is a constant; the default style is good enough should it ever be refused.
        if let Ok(style) =
            ProgressStyle::with_template("sample {msg:9} {bar:32} {human_pos}/{human_len} rows {eta}")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            lines,
            started: Instant::now(),
            table: Mutex::default(),
        }
    }

    /// Says what was made; nothing if it had been there.
    pub(super) fn end(&self, loaded: &Loaded) {
        self.bar.finish_and_clear();
        for table in &loaded.damaged {
            self.say(&format!(
                "sample {table} is damaged and left as it is; the other tables are served"
            ));
        }
        if !loaded.was_complete() {
            let seconds = self.started.elapsed().as_secs_f64();
            self.say(&format!(
                "sample lake: {} tables, {} rows in {seconds:.1} s",
                loaded.tables.len(),
                loaded.rows()
            ));
        }
    }

    fn say(&self, line: &str) {
        // A closed standard error is no reason to stop the load.
        if writeln!(std::io::stderr().lock(), "{line}").is_err() {
            tracing::debug!(line, "standard error is closed");
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bar {
    fn start(&self, table: &str, rows_total: u64) {
        *self.table() = Table { rows_total, rows: 0 };
        self.bar.set_message(table.to_owned());
    }

    fn advance(&self, _table: &str, rows: u64) {
        self.table().rows += rows;
        self.bar.inc(rows);
    }

    fn finish(&self, table: &str) {
        let state = self.table();
        let made = state.rows;
        // A table that was complete before did not advance.
        self.bar.inc(state.rows_total.saturating_sub(made));
        drop(state);
        if self.lines && made > 0 {
            self.say(&format!("sample {table}: {made} rows"));
        }
    }
}
