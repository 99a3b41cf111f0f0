//! `supplier`: the suppliers of parts.

use tpchgen::generators::{Supplier, SupplierGenerator};

use super::columns::{Columns, decimal, decimals, key, longs, printed, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("s_suppkey", "Identifies the supplier"),
        text("s_name", "Name of the supplier"),
        text("s_address", "Street address"),
        key("s_nationkey", "Nation of the supplier, see nation.n_nationkey"),
        text("s_phone", "Phone number, the first two digits name the nation"),
        decimal("s_acctbal", "Account balance"),
        text("s_comment", "Free text"),
    ];
    let contract = Contract::new(Zone::Gold, "supplier", "TPC-H: the suppliers of parts", columns)?;
    contract.with_key(&["s_suppkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("supplier", SupplierGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[Supplier]) -> Result<Columns> {
    Ok(vec![
        ("s_suppkey", longs(rows, |row| row.s_suppkey)),
        ("s_name", printed(rows, |row| &row.s_name)),
        ("s_address", printed(rows, |row| &row.s_address)),
        ("s_nationkey", longs(rows, |row| row.s_nationkey)),
        ("s_phone", printed(rows, |row| &row.s_phone)),
        ("s_acctbal", decimals(rows, |row| row.s_acctbal)?),
        ("s_comment", texts(rows, |row| row.s_comment.as_str())),
    ])
}
