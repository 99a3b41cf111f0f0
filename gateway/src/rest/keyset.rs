//! Where the next page begins: a condition that holds for the rows at or after a position in an order.
//!
//! The condition is made as a small tree and only then written as SQL, so that a test can hold it against sorting.
//! Equality and order are those of the engine's sort: a missing value equals a missing value and stands first or last as
//! the order says.

/// One column of the order at the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Large values come first.
    pub(super) descending: bool,
    /// Missing values come first.
    pub(super) nulls_first: bool,
    /// The column may have missing values.
    pub(super) nullable: bool,
    /// The value at the position is missing.
    pub(super) is_null: bool,
}

/// A condition on a row. A number names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    /// All hold; with none of them, true.
    All(Vec<Clause>),
    /// One holds; with none of them, false.
    Any(Vec<Clause>),
    /// The column equals the value at the position, which is there.
    Equal(usize),
    /// The column is greater than the value at the position.
    Greater(usize),
    /// The column is less than the value at the position.
    Less(usize),
    /// The column has no value.
    Missing(usize),
    /// The column has a value.
    Present(usize),
}

/// The condition for the rows at the position or after it. It is flat: as deep for a hundred columns as for two.
pub(super) fn at_or_after(keys: &[Key]) -> Clause {
    let mut ways: Vec<Clause> = Vec::with_capacity(keys.len() + 1);
    let mut equal: Vec<Clause> = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        if let Some(after) = after(index, *key) {
            let mut way = equal.clone();
            way.push(after);
            ways.push(Clause::All(way));
        }
        equal.push(if key.is_null {
            Clause::Missing(index)
        } else {
            Clause::Equal(index)
        });
    }
    ways.push(Clause::All(equal));
    Clause::Any(ways)
}

/// The condition that one column alone stands after the position; none when nothing can.
fn after(index: usize, key: Key) -> Option<Clause> {
    match (key.is_null, key.nulls_first) {
        (true, true) => Some(Clause::Present(index)),
        (true, false) => None,
        (false, nulls_first) => {
            let beyond = if key.descending {
                Clause::Less(index)
            } else {
                Clause::Greater(index)
            };
            match key.nullable && !nulls_first {
                true => Some(Clause::Any(vec![beyond, Clause::Missing(index)])),
                false => Some(beyond),
            }
        }
    }
}

impl Clause {
    /// As SQL over the expressions and the bound values of the keys.
    pub(super) fn sql(&self, expressions: &[String], values: &[String]) -> String {
        let list = |clauses: &[Clause], word: &str, none: &str| match clauses {
            [] => none.to_owned(),
            [one] => one.sql(expressions, values),
            many => {
                let texts: Vec<String> = many
                    .iter()
                    .map(|clause| clause.sql(expressions, values))
                    .collect();
                format!("({})", texts.join(word))
            }
        };
        match self {
            Self::All(clauses) => list(clauses, " AND ", "TRUE"),
            Self::Any(clauses) => list(clauses, " OR ", "FALSE"),
            Self::Equal(key) => format!("{} = {}", expressions[*key], values[*key]),
            Self::Greater(key) => format!("{} > {}", expressions[*key], values[*key]),
            Self::Less(key) => format!("{} < {}", expressions[*key], values[*key]),
            Self::Missing(key) => format!("{} IS NULL", expressions[*key]),
            Self::Present(key) => format!("{} IS NOT NULL", expressions[*key]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    type Row = Vec<Option<i8>>;

    fn holds(clause: &Clause, row: &Row, position: &Row) -> bool {
        let compared = |key: usize, wanted: Ordering| match (row[key], position[key]) {
            (Some(left), Some(right)) => left.cmp(&right) == wanted,
            _ => false,
        };
        match clause {
            Clause::All(clauses) => clauses.iter().all(|clause| holds(clause, row, position)),
            Clause::Any(clauses) => clauses.iter().any(|clause| holds(clause, row, position)),
            Clause::Equal(key) => compared(*key, Ordering::Equal),
            Clause::Greater(key) => compared(*key, Ordering::Greater),
            Clause::Less(key) => compared(*key, Ordering::Less),
            Clause::Missing(key) => row[*key].is_none(),
            Clause::Present(key) => row[*key].is_some(),
        }
    }

    fn compare(order: &[(bool, bool)], left: &Row, right: &Row) -> Ordering {
        for (index, (descending, nulls_first)) in order.iter().enumerate() {
            let nulls = if *nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            };
            let outcome = match (left[index], right[index]) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => nulls,
                (Some(_), None) => nulls.reverse(),
                (Some(left), Some(right)) if *descending => right.cmp(&left),
                (Some(left), Some(right)) => left.cmp(&right),
            };
            if outcome != Ordering::Equal {
                return outcome;
            }
        }
        Ordering::Equal
    }

    /// Reads all rows page by page as the gateway does: at or after the last row, without the rows that equal it and
    /// were given already.
    fn read_in_pages(order: &[(bool, bool)], rows: &[Row], limit: usize) -> Vec<Row> {
        let mut given: Vec<Row> = Vec::new();
        let mut position: Option<(Row, usize)> = None;
        loop {
            let mut page: Vec<Row> = match &position {
                None => rows.to_vec(),
                Some((at, _)) => {
                    let keys: Vec<Key> = order
                        .iter()
                        .zip(at)
                        .map(|((descending, nulls_first), value)| Key {
                            descending: *descending,
                            nulls_first: *nulls_first,
                            nullable: true,
                            is_null: value.is_none(),
                        })
                        .collect();
                    let clause = at_or_after(&keys);
                    rows.iter()
                        .filter(|row| holds(&clause, row, at))
                        .cloned()
                        .collect()
                }
            };
            page.sort_by(|left, right| compare(order, left, right));
            let skipped = position.as_ref().map_or(0, |(_, ties)| *ties);
            let page: Vec<Row> = page.into_iter().skip(skipped).take(limit).collect();
            let Some(last) = page.last().cloned() else {
                return given;
            };
            given.extend(page);
            let ties = given.iter().rev().take_while(|row| **row == last).count();
            position = Some((last, ties));
        }
    }

    proptest! {
        #[test]
        fn pages_are_the_sorted_rows_once_each(
            order in prop::collection::vec(any::<(bool, bool)>(), 1..4),
            cells in prop::collection::vec(prop::collection::vec(prop::option::of(-2_i8..3), 3), 0..40),
            limit in 1_usize..9,
        ) {
            let rows: Vec<Row> = cells.into_iter().map(|row| row[..order.len()].to_vec()).collect();
            let mut sorted = rows.clone();
            sorted.sort_by(|left, right| compare(&order, left, right));
            prop_assert_eq!(read_in_pages(&order, &rows, limit), sorted);
        }
    }

    #[test]
    fn a_column_that_has_no_missing_values_needs_no_test_for_them() {
        let key = Key {
            descending: false,
            nulls_first: false,
            nullable: false,
            is_null: false,
        };
        let (expressions, values) = (
            ["\"a\"".to_owned(), "\"b\"".to_owned()],
            ["$1".to_owned(), "$2".to_owned()],
        );
        let falling = Key {
            descending: true,
            nullable: true,
            ..key
        };
        assert_eq!(
            at_or_after(&[key, falling]).sql(&expressions, &values),
            "(\"a\" > $1 OR (\"a\" = $1 AND (\"b\" < $2 OR \"b\" IS NULL)) OR (\"a\" = $1 AND \"b\" = $2))"
        );
    }
}
