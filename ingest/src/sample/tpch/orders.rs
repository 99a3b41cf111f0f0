//! `orders`: the orders of customers, partitioned by month of the order date.

use iceberg::spec::Transform;
use tpchgen::generators::{Order, OrderGenerator};

use super::columns::{Columns, date, dates, decimal, decimals, int, ints, key, longs, printed, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("o_orderkey", "Identifies the order"),
        key("o_custkey", "The customer, see customer.c_custkey"),
        text(
            "o_orderstatus",
            "F when all lines are final, O when none is, P else",
        ),
        decimal("o_totalprice", "Price of all lines with discount and tax"),
        date("o_orderdate", "Day of the order"),
        text("o_orderpriority", "Priority, 1 to 5 with its name"),
        text("o_clerk", "The clerk who took the order"),
        int("o_shippriority", "Shipping priority"),
        text("o_comment", "Free text"),
    ];
    let contract = Contract::new(
        Zone::Gold,
        "orders",
        "TPC-H: the orders of customers, partitioned by month of the order date",
        columns,
    )?;
    // Every month holds keys of the whole range, so a question by key needs the Bloom filters to skip files.
    contract
        .with_key(&["o_orderkey"])?
        .with_partition("o_orderdate", Transform::Month)?
        .with_lookups(&["o_orderkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("orders", OrderGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[Order<'static>]) -> Result<Columns> {
    Ok(vec![
        ("o_orderkey", longs(rows, |row| row.o_orderkey)),
        ("o_custkey", longs(rows, |row| row.o_custkey)),
        ("o_orderstatus", texts(rows, |row| row.o_orderstatus.as_str())),
        ("o_totalprice", decimals(rows, |row| row.o_totalprice)?),
        ("o_orderdate", dates(rows, |row| row.o_orderdate)),
        ("o_orderpriority", texts(rows, |row| row.o_orderpriority)),
        ("o_clerk", printed(rows, |row| &row.o_clerk)),
        ("o_shippriority", ints(rows, |row| row.o_shippriority)),
        ("o_comment", texts(rows, |row| row.o_comment)),
    ])
}
