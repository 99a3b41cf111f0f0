//! `region`: the regions that nations belong to.

use tpchgen::generators::{Region, RegionGenerator};

use super::columns::{Columns, key, longs, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("r_regionkey", "Identifies the region"),
        text("r_name", "Name of the region"),
        text("r_comment", "Free text"),
    ];
    let contract = Contract::new(
        Zone::Gold,
        "region",
        "TPC-H: the regions that nations belong to",
        columns,
    )?;
    contract.with_key(&["r_regionkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("region", RegionGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[Region<'static>]) -> Result<Columns> {
    Ok(vec![
        ("r_regionkey", longs(rows, |row| row.r_regionkey)),
        ("r_name", texts(rows, |row| row.r_name)),
        ("r_comment", texts(rows, |row| row.r_comment)),
    ])
}
