//! `customer`: the customers who place orders.

use tpchgen::generators::{Customer, CustomerGenerator};

use super::columns::{Columns, decimal, decimals, key, longs, printed, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("c_custkey", "Identifies the customer"),
        text("c_name", "Name of the customer"),
        text("c_address", "Street address"),
        key("c_nationkey", "Nation of the customer, see nation.n_nationkey"),
        text("c_phone", "Phone number, the first two digits name the nation"),
        decimal("c_acctbal", "Account balance"),
        text("c_mktsegment", "Market segment, one of five"),
        text("c_comment", "Free text"),
    ];
    let contract = Contract::new(
        Zone::Gold,
        "customer",
        "TPC-H: the customers who place orders",
        columns,
    )?;
    contract.with_key(&["c_custkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("customer", CustomerGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[Customer<'static>]) -> Result<Columns> {
    Ok(vec![
        ("c_custkey", longs(rows, |row| row.c_custkey)),
        ("c_name", printed(rows, |row| &row.c_name)),
        ("c_address", printed(rows, |row| &row.c_address)),
        ("c_nationkey", longs(rows, |row| row.c_nationkey)),
        ("c_phone", printed(rows, |row| &row.c_phone)),
        ("c_acctbal", decimals(rows, |row| row.c_acctbal)?),
        ("c_mktsegment", texts(rows, |row| row.c_mktsegment)),
        ("c_comment", texts(rows, |row| row.c_comment)),
    ])
}
