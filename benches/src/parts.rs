//! The parts of the bench, and what they share: the settings of the run, and what each gives back.

pub mod export;
pub mod federation;
pub mod idle;
pub mod kept;
pub mod point;
pub mod policies;
pub mod tpch;

use serde::Serialize;
use serde_json::Value;

use crate::noise::Noise;
use crate::place::Place;
use crate::python::Python;
use crate::table::Row;

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where everything is.
    pub place: Place,
    /// The peers' environment.
    pub python: Python,
    /// Rounds of each comparison.
    pub rounds: usize,
    /// Whether to be quick at the cost of precision.
    pub quick: bool,
    /// What random values come from.
    pub seed: u64,
}

/// What a part found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Found {
    /// Lines of the table.
    #[serde(skip)]
    pub rows: Vec<Row>,
    /// Every run behind them.
    pub samples: Value,
    /// Further figures and circumstances, one sentence each.
    pub notes: Vec<String>,
    /// What others did to the machine meanwhile.
    #[serde(skip)]
    pub noise: Noise,
}
