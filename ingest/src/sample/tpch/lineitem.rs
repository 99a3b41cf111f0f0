//! `lineitem`: the lines of orders, partitioned by month of the ship date.

use iceberg::spec::Transform;
use tpchgen::decimal::TPCHDecimal;
use tpchgen::generators::{LineItem, LineItemGenerator, OrderGenerator};

use super::columns::{Columns, date, dates, decimal, decimals, int, ints, key, longs, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("l_orderkey", "The order, see orders.o_orderkey"),
        key("l_partkey", "The part, see part.p_partkey"),
        key("l_suppkey", "The supplier, see supplier.s_suppkey"),
        int("l_linenumber", "Number of the line in its order, from 1"),
        decimal("l_quantity", "Quantity"),
        decimal("l_extendedprice", "Quantity times retail price"),
        decimal("l_discount", "Discount, 0.00 to 0.10"),
        decimal("l_tax", "Tax, 0.00 to 0.08"),
        text("l_returnflag", "R returned, A accepted, N not yet received"),
        text("l_linestatus", "O open, F final"),
        date("l_shipdate", "Day of shipping"),
        date("l_commitdate", "Day promised"),
        date("l_receiptdate", "Day of receipt"),
        text("l_shipinstruct", "Instruction for delivery"),
        text("l_shipmode", "Means of transport"),
        text("l_comment", "Free text"),
    ];
    let contract = Contract::new(
        Zone::Gold,
        "lineitem",
        "TPC-H: the lines of orders, partitioned by month of the ship date",
        columns,
    )?;
    // Every month holds keys of the whole range, so a question by key needs the Bloom filters to skip files.
    contract
        .with_key(&["l_orderkey", "l_linenumber"])?
        .with_partition("l_shipdate", Transform::Month)?
        .with_lookups(&["l_orderkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("lineitem", LineItemGenerator::new(scale, 1, 1).iter(), gather)
}

/// Rows at `scale`: the sum of the line counts that the benchmark's own random stream gives the orders.
pub(super) fn row_count(scale: f64) -> i64 {
    let mut lines = OrderGenerator::create_line_count_random();
    let orders = OrderGenerator::calculate_row_count(scale, 1, 1);
    let count = |_| {
        let count = lines.next_value();
        lines.row_finished();
        i64::from(count)
    };
    (0..orders).map(count).sum()
}

fn gather(rows: &[LineItem<'static>]) -> Result<Columns> {
    Ok(vec![
        ("l_orderkey", longs(rows, |row| row.l_orderkey)),
        ("l_partkey", longs(rows, |row| row.l_partkey)),
        ("l_suppkey", longs(rows, |row| row.l_suppkey)),
        ("l_linenumber", ints(rows, |row| row.l_linenumber)),
        (
            "l_quantity",
            decimals(rows, |row| TPCHDecimal(row.l_quantity * 100))?,
        ),
        ("l_extendedprice", decimals(rows, |row| row.l_extendedprice)?),
        ("l_discount", decimals(rows, |row| row.l_discount)?),
        ("l_tax", decimals(rows, |row| row.l_tax)?),
        ("l_returnflag", texts(rows, |row| row.l_returnflag)),
        ("l_linestatus", texts(rows, |row| row.l_linestatus)),
        ("l_shipdate", dates(rows, |row| row.l_shipdate)),
        ("l_commitdate", dates(rows, |row| row.l_commitdate)),
        ("l_receiptdate", dates(rows, |row| row.l_receiptdate)),
        ("l_shipinstruct", texts(rows, |row| row.l_shipinstruct)),
        ("l_shipmode", texts(rows, |row| row.l_shipmode)),
        ("l_comment", texts(rows, |row| row.l_comment)),
    ])
}
