//! Cutting a stream of rows to one page, and remembering where the next one begins.
//!
//! The statement asks for one row more than the page has; that row is never given, it only says that there is more.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::app::App;
use crate::error::Result;
use crate::rest::cursor::Course;
use crate::rest::problem::internal;
use crate::rest::select::Position;
use crate::session::RequestContext;

/// One page of a query.
pub(super) struct Page {
    limit: u64,
    given: u64,
    has_more: bool,
    /// None when the rows have no total order: such a page is cut, and nothing can continue it.
    track: Option<Track>,
}

/// Follows the keys of the rows.
struct Track {
    course: Course,
    /// Which columns of a batch are the keys.
    keys: Vec<usize>,
    converter: Option<RowConverter>,
    last: Option<(OwnedRow, Position)>,
    before: Option<Position>,
}

impl Page {
    /// A page of `limit` rows that nothing continues.
    pub(super) fn cut(limit: u64) -> Self {
        Self {
            limit,
            given: 0,
            has_more: false,
            track: None,
        }
    }

    /// A page of `course` that begins after `before`; `keys` are the columns of its order.
    pub(super) fn of(course: Course, keys: Vec<usize>, before: Option<Position>) -> Self {
        let limit = course.limit;
        let track = Track {
            course,
            keys,
            converter: None,
            last: None,
            before,
        };
        Self {
            limit,
            given: 0,
            has_more: false,
            track: Some(track),
        }
    }

    /// How many rows the statement must be asked for.
    pub(super) fn rows_wanted(&self) -> u64 {
        self.limit.saturating_add(1)
    }

    /// Whether there are rows after the page; known once the stream has ended.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// The rows of `batch` that belong to the page.
    ///
    /// # Errors
    /// `Internal` when the keys cannot be compared, which keys of a checked order always can.
    pub(super) fn admit(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let room = usize::try_from(self.limit - self.given).unwrap_or(usize::MAX);
        self.has_more |= rows > room;
        let page = batch.slice(0, rows.min(room));
        self.given += page.num_rows() as u64;
        if let Some(track) = &mut self.track
            && page.num_rows() > 0
        {
            track.follow(&page).map_err(|error| internal(&error))?;
        }
        Ok(page)
    }

    /// The cursor of the next page, when there is one.
    ///
    /// # Errors
    /// `Internal` when the cursor cannot be sealed.
    pub(super) fn next_cursor(&self, app: &App, context: &RequestContext) -> Result<Option<String>> {
        match &self.track {
            Some(Track {
                course,
                last: Some((_, position)),
                ..
            }) if self.has_more => Ok(Some(course.cursor(app, context, position)?)),
            _ => Ok(None),
        }
    }
}

impl Track {
    /// Takes note of the last row of a page's part and of how many rows before it equal it.
    fn follow(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let keys = rows.project(&self.keys)?;
        if self.converter.is_none() {
            let fields = keys
                .columns()
                .iter()
                .map(|column| SortField::new(column.data_type().clone()));
            let converter = RowConverter::new(fields.collect())?;
            if let Some(before) = self.before.take() {
                let row = converter.convert_columns(before.values.columns())?.row(0).owned();
                self.last = Some((row, before));
            }
            self.converter = Some(converter);
        }
        let Some(converter) = &self.converter else {
            return Ok(());
        };
        let encoded = converter.convert_columns(keys.columns())?;
        let end = encoded.num_rows() - 1;
        let last = encoded.row(end);
        let equal = (0..=end)
            .rev()
            .take_while(|index| encoded.row(*index) == last)
            .count() as u64;
        let earlier = match &self.last {
            Some((row, position)) if equal == encoded.num_rows() as u64 && row.row() == last => position.ties,
            _ => 0,
        };
        // A copy of one row: a slice would hold the whole batch in memory.
        let values = take_record_batch(&keys, &UInt64Array::from(vec![end as u64]))?;
        let ties = equal + earlier;
        self.last = Some((last.owned(), Position { values, ties }));
        Ok(())
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page")
            .field("limit", &self.limit)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use planner::Pins;

    use crate::rest::ask::Ask;
    use crate::rest::identifier::DatasetName;
    use crate::rest::order;

    use super::*;

    fn batch(keys: &[Option<i64>]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("key", DataType::Int64, true),
        ]);
        let texts: StringArray = keys.iter().map(|_| Some("x")).collect();
        let keys: Int64Array = keys.iter().copied().collect();
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts), Arc::new(keys)]).unwrap()
    }

    fn page(limit: u64, before: Option<Position>) -> Page {
        let course = Course {
            name: DatasetName::parse("lake.gold.t").unwrap(),
            ask: Ask::default(),
            keys: order::parse("key").unwrap(),
            limit,
            pins: Pins::default(),
        };
        Page::of(course, vec![1], before)
    }

    fn end(page: &Page) -> (RecordBatch, u64) {
        let (_, position) = page.track.as_ref().unwrap().last.as_ref().unwrap();
        (position.values.clone(), position.ties)
    }

    #[test]
    fn a_page_ends_at_its_limit_and_knows_of_more() {
        let mut page = page(3, None);
        assert_eq!(page.rows_wanted(), 4);
        assert_eq!(page.admit(&batch(&[Some(1), Some(2)])).unwrap().num_rows(), 2);
        assert!(!page.has_more());
        assert_eq!(page.admit(&batch(&[Some(3), Some(4)])).unwrap().num_rows(), 1);
        assert!(page.has_more());
        assert_eq!(end(&page), (batch(&[Some(3)]).project(&[1]).unwrap(), 1));
        assert_eq!(page.admit(&batch(&[Some(5)])).unwrap().num_rows(), 0);
    }

    #[test]
    fn equal_rows_are_counted_over_batches_and_pages() {
        let mut first = page(4, None);
        first.admit(&batch(&[Some(1), None])).unwrap();
        first.admit(&batch(&[None, None, None])).unwrap();
        let (values, ties) = end(&first);
        assert_eq!(ties, 3);
        let mut second = page(2, Some(Position { values, ties }));
        second.admit(&batch(&[None, None])).unwrap();
        assert_eq!(end(&second).1, 5);
        let mut third = page(
            9,
            Some(Position {
                values: end(&second).0,
                ties: 5,
            }),
        );
        third.admit(&batch(&[None, Some(7)])).unwrap();
        assert_eq!(end(&third).1, 1);
    }
}
