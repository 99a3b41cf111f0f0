//! `partsupp`: which supplier offers which part, at what cost.

use tpchgen::generators::{PartSupp, PartSuppGenerator};

use super::columns::{Columns, decimal, decimals, int, ints, key, longs, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("ps_partkey", "The part, see part.p_partkey"),
        key("ps_suppkey", "The supplier, see supplier.s_suppkey"),
        int("ps_availqty", "Quantity in stock"),
        decimal("ps_supplycost", "Cost of one"),
        text("ps_comment", "Free text"),
    ];
    let contract = Contract::new(
        Zone::Gold,
        "partsupp",
        "TPC-H: which supplier offers which part, at what cost",
        columns,
    )?;
    contract.with_key(&["ps_partkey", "ps_suppkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("partsupp", PartSuppGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[PartSupp<'static>]) -> Result<Columns> {
    Ok(vec![
        ("ps_partkey", longs(rows, |row| row.ps_partkey)),
        ("ps_suppkey", longs(rows, |row| row.ps_suppkey)),
        ("ps_availqty", ints(rows, |row| row.ps_availqty)),
        ("ps_supplycost", decimals(rows, |row| row.ps_supplycost)?),
        ("ps_comment", texts(rows, |row| row.ps_comment)),
    ])
}
