//! A table and a plain model of it: random writes to both, random queries over both, equal answers.
//!
//! Each case has a seed, which every failure names; [`replay`] runs one again.

mod queries;
mod writes;

use crate::Version;
use crate::iceberg::fixture::Lake;
use std::collections::BTreeMap;

/// How many cases a run has.
const CASES: u64 = 200;
/// How many of them run at a time.
const AT_ONCE: u64 = 2;

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Number(i64),
    Text(String),
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Long,
    Text,
}

/// A column of the table.
#[derive(Clone, Debug)]
struct Column {
    id: i32,
    name: String,
    kind: Kind,
    /// What it is in rows older than it.
    default: Cell,
}

/// A row that lives; `cells` holds the columns that there were when it was written, by their ids.
#[derive(Clone, Debug)]
struct Row {
    cells: BTreeMap<i32, Cell>,
    file: String,
}

/// A table with what it should hold.
struct Case {
    seed: u64,
    dice: Dice,
    lake: Lake,
    third: bool,
    columns: Vec<Column>,
    rows: BTreeMap<i64, Row>,
    /// Every row that ever was, by its file and place: deletes may name the dead.
    ever: Vec<(String, u64, i64)>,
    /// Data files with a deletion vector, which takes no further deletes by position.
    vectored: Vec<String>,
    next_row: i64,
    next_id: i32,
    /// States to come back to: the version, its columns, its rows.
    past: Vec<(Version, Vec<Column>, BTreeMap<i64, Row>)>,
    /// What was done, for the report of a failure.
    story: Vec<String>,
}

/// Numbers that look random, all from one seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    fn cell(&mut self, kind: Kind) -> Cell {
        match (self.one_in(8), kind) {
            (true, _) => Cell::Null,
            (_, Kind::Text) => Cell::Text(format!("s{}", self.below(12))),
            (_, Kind::Int) => Cell::Number(self.below(20) as i64 - 5),
            (_, Kind::Long) if self.one_in(6) => Cell::Number(5_000_000_000 + self.below(3) as i64),
            (_, Kind::Long) => Cell::Number(self.below(20) as i64 - 5),
        }
    }
}

impl Column {
    fn of(&self, row: &Row) -> Cell {
        row.cells.get(&self.id).unwrap_or(&self.default).clone()
    }
}

fn replay(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut case = Case::new(seed).await;
        for _ in 0..2 + case.dice.below(5) {
            case.write().await;
            case.ask(1).await;
        }
        case.ask(2).await;
        case.ask_the_past().await;
    });
}

#[test]
fn a_table_answers_as_its_model() {
    // Another set of cases each time; a failure names its seed.
    let base = uuid::Uuid::new_v4().as_u128() as u64;
    std::thread::scope(|scope| {
        for share in 0..AT_ONCE {
            scope.spawn(move || {
                (share..CASES)
                    .step_by(AT_ONCE as usize)
                    .for_each(|case| replay(base.wrapping_add(case)))
            });
        }
    });
}

/// Seeds that once found a defect, and some that find none.
#[test]
fn known_seeds_answer_as_their_model() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 8] {
        replay(seed);
    }
}
