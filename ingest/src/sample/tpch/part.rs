//! `part`: the parts that are sold.

use tpchgen::generators::{Part, PartGenerator};

use super::columns::{Columns, decimal, decimals, int, ints, key, longs, printed, text, texts};
use crate::append::Batches;
use crate::contract::Contract;
use crate::error::Result;
use crate::zone::Zone;

/// The promise of the table.
pub(super) fn contract() -> Result<Contract> {
    let columns = vec![
        key("p_partkey", "Identifies the part"),
        text("p_name", "Name of the part, five words"),
        text("p_mfgr", "Manufacturer"),
        text("p_brand", "Brand"),
        text("p_type", "Finish, treatment and material"),
        int("p_size", "Size, 1 to 50"),
        text("p_container", "Container it is sold in"),
        decimal("p_retailprice", "Retail price"),
        text("p_comment", "Free text"),
    ];
    let contract = Contract::new(Zone::Gold, "part", "TPC-H: the parts that are sold", columns)?;
    contract.with_key(&["p_partkey"])
}

/// All rows at `scale`.
pub(super) fn batches(scale: f64) -> Batches {
    super::columns::batches("part", PartGenerator::new(scale, 1, 1).iter(), gather)
}

fn gather(rows: &[Part<'static>]) -> Result<Columns> {
    Ok(vec![
        ("p_partkey", longs(rows, |row| row.p_partkey)),
        ("p_name", printed(rows, |row| &row.p_name)),
        ("p_mfgr", printed(rows, |row| &row.p_mfgr)),
        ("p_brand", printed(rows, |row| &row.p_brand)),
        ("p_type", texts(rows, |row| row.p_type)),
        ("p_size", ints(rows, |row| row.p_size)),
        ("p_container", texts(rows, |row| row.p_container)),
        ("p_retailprice", decimals(rows, |row| row.p_retailprice)?),
        ("p_comment", texts(rows, |row| row.p_comment)),
    ])
}
