//! The table: columns side by side if they fit, else one value a line.
//!
//! Widths come from the first page of rows; later rows are cut to them, so that a long result never has to be held.

use super::text;
use crate::cli::Failure;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::ArrayFormatter;
use std::io::{self, Write};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Rows that are looked at before the widths are fixed.
const PAGE_ROWS: usize = 1_000;

/// The widest cell where there is no terminal that says how wide it is.
const CELL_MAX: usize = 200;

/// The narrowest to which a wide column is cut before the columns go under each other.
const CELL_MIN: usize = 10;

/// One result on its way to the terminal.
pub(in crate::cli::sql) struct Table<'a> {
    out: &'a mut dyn Write,
    width: Option<usize>,
    names: Vec<String>,
    to_the_right: Vec<bool>,
    page: Vec<Vec<String>>,
    layout: Option<Layout>,
    written: usize,
}

enum Layout {
    /// The width of each column.
    Across(Vec<usize>),
    /// The width of the names.
    Down(usize),
}

impl<'a> Table<'a> {
    pub(super) fn new(schema: &SchemaRef, width: Option<usize>, out: &'a mut dyn Write) -> Self {
        Self {
            out,
            width,
            names: schema
                .fields()
                .iter()
                .map(|field| text::tame(field.name()))
                .collect(),
            to_the_right: schema
                .fields()
                .iter()
                .map(|field| is_number(field.data_type()))
                .collect(),
            page: Vec::new(),
            layout: None,
            written: 0,
        }
    }

    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let options = text::options();
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, ArrowError>>()
            .map_err(super::unwritten)?;
        for row in 0..batch.num_rows() {
            self.page.push(
                columns
                    .iter()
                    .map(|column| text::tame(&column.value(row).to_string()))
                    .collect(),
            );
            if self.page.len() >= PAGE_ROWS {
                self.write_page()?;
            }
        }
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.write_page()
    }

    fn write_page(&mut self) -> Result<(), Failure> {
        if self.names.is_empty() {
            // The answer to `SET` and its like has no columns.
            self.page.clear();
            return Ok(());
        }
        let layout = match self.layout.take() {
            Some(layout) => layout,
            None => self.choose().map_err(unwritten)?,
        };
        let page = std::mem::take(&mut self.page);
        let written = page.iter().try_for_each(|row| match &layout {
            Layout::Across(widths) => line(self.out, row, widths, &self.to_the_right),
            Layout::Down(width) => {
                self.written += 1;
                record(self.out, self.written, &self.names, row, *width)
            }
        });
        self.layout = Some(layout);
        written.map_err(unwritten)
    }

    /// Chooses the layout for the first page and writes the head.
    fn choose(&mut self) -> io::Result<Layout> {
        let natural: Vec<usize> = (0..self.names.len())
            .map(|column| {
                let cells = self.page.iter().map(|row| row[column].width());
                cells.max().unwrap_or(0).max(self.names[column].width())
            })
            .collect();
        let widths = match self.width {
            Some(width) => fit(&natural, width),
            None => Some(natural.iter().map(|width| (*width).min(CELL_MAX)).collect()),
        };
        let Some(widths) = widths else {
            let longest = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
            return Ok(Layout::Down(longest));
        };
        line(self.out, &self.names, &widths, &vec![false; widths.len()])?;
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(self.out, "{}", rule.join("+"))?;
        Ok(Layout::Across(widths))
    }
}

/// The widths at which the columns fit into `width`, cutting the widest first; none if they cannot.
fn fit(natural: &[usize], width: usize) -> Option<Vec<usize>> {
    // A blank on each side of a cell and a bar between two.
    let room = width.checked_sub(natural.len() * 3)?;
    let cut = |cap: usize| natural.iter().map(move |width| (*width).min(cap));
    let widest = natural.iter().copied().max().unwrap_or(0);
    let cap = (CELL_MIN.min(widest)..=widest.min(room))
        .rev()
        .find(|cap| cut(*cap).sum::<usize>() <= room)?;
    Some(cut(cap).collect())
}

fn line(out: &mut dyn Write, cells: &[String], widths: &[usize], to_the_right: &[bool]) -> io::Result<()> {
    let mut text = String::new();
    for (index, ((cell, width), right)) in cells.iter().zip(widths).zip(to_the_right).enumerate() {
        if index > 0 {
            text.push('|');
        }
        let shown = shorten(cell, *width);
        let blank = " ".repeat(width.saturating_sub(shown.width()));
        text.push(' ');
        match right {
            true => text.extend([blank.as_str(), shown.as_str()]),
            false => text.extend([shown.as_str(), blank.as_str()]),
        }
        text.push(' ');
    }
    writeln!(out, "{}", text.trim_end())
}

fn record(
    out: &mut dyn Write,
    number: usize,
    names: &[String],
    row: &[String],
    width: usize,
) -> io::Result<()> {
    writeln!(out, "-[ row {number} ]-")?;
    for (name, cell) in names.iter().zip(row) {
        let blank = " ".repeat(width.saturating_sub(name.width()));
        writeln!(out, "{name}{blank} | {}", shorten(cell, CELL_MAX))?;
    }
    Ok(())
}

/// The text, or its beginning and an ellipsis.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |letter: &char| {
        used += letter.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn unwritten(source: io::Error) -> Failure {
    Failure::io("writing the rows", source)
}
