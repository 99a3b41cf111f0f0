//! `nation`: the nations of customers and suppliers.

use tpchgen::generators::{Nation, NationGenerator};

use super::columns::{Columns, key, longs, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("n_nationkey", "Identifies the nation"),
        text("n_name", "Name of the nation"),
        key("n_regionkey", "Region of the nation, see region.r_regionkey"),
        text("n_comment", "Free text"),
    ];
    let contract = Contract::new(
        Zone::Gold,
        "nation",
        "TPC-H: the nations of customers and suppliers",
        columns,
    )?;
    contract.with_key(&["n_nationkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("nation", NationGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[Nation<'static>]) -> Result<Columns> {
    Ok(vec![
        ("n_nationkey", longs(rows, |row| row.n_nationkey)),
        ("n_name", texts(rows, |row| row.n_name)),
        ("n_regionkey", longs(rows, |row| row.n_regionkey)),
        ("n_comment", texts(rows, |row| row.n_comment)),
    ])
}
