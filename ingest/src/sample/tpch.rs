//! TPC-H as eight contracts and eight row sources on the crate `tpchgen`.
//!
//! Rows are made one batch at a time by generators that are pure functions of the scale, so a load can be repeated exactly and takes the same
//! memory at any scale.

use tpchgen::generators::{CustomerGenerator, OrderGenerator, PartGenerator, SupplierGenerator};

use crate::append::Batches;
use crate::commit::Token;
use crate::contract::Contract;
use crate::error::{Error, Result};

mod columns;
mod customer;
mod lineitem;
mod nation;
mod orders;
mod part;
mod partsupp;
mod region;
mod supplier;

/// A change of the rows or of the layout of the sample must change this word: it is part of every token.
const EDITION: &str = "tpch-1";

/// One of the eight tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dataset {
    /// 5 rows.
    Region,
    /// 25 rows.
    Nation,
    /// 10,000 rows at scale 1.
    Supplier,
    /// 150,000 rows at scale 1.
    Customer,
    /// 200,000 rows at scale 1.
    Part,
    /// 800,000 rows at scale 1.
    PartSupp,
    /// 1,500,000 rows at scale 1.
    Orders,
    /// About 6,000,000 rows at scale 1.
    LineItem,
}

impl Dataset {
    /// All tables, the small ones first.
    pub const ALL: [Dataset; 8] = [
        Dataset::Region,
        Dataset::Nation,
        Dataset::Supplier,
        Dataset::Customer,
        Dataset::Part,
        Dataset::PartSupp,
        Dataset::Orders,
        Dataset::LineItem,
    ];

    /// The table's standard name.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Region => "region",
            Dataset::Nation => "nation",
            Dataset::Supplier => "supplier",
            Dataset::Customer => "customer",
            Dataset::Part => "part",
            Dataset::PartSupp => "partsupp",
            Dataset::Orders => "orders",
            Dataset::LineItem => "lineitem",
        }
    }

    /// The table's contract, in gold.
    pub fn contract(self) -> Result<Contract> {
        match self {
            Dataset::Region => region::contract(),
            Dataset::Nation => nation::contract(),
            Dataset::Supplier => supplier::contract(),
            Dataset::Customer => customer::contract(),
            Dataset::Part => part::contract(),
            Dataset::PartSupp => partsupp::contract(),
            Dataset::Orders => orders::contract(),
            Dataset::LineItem => lineitem::contract(),
        }
    }

    /// All rows at `scale`, made as they are drawn. Nothing happens before the first is: the generators share a pool of
    /// text that takes 300 MB and a second to make, which a lake that is complete need not pay for.
    pub fn batches(self, scale: f64) -> Batches {
        Box::new(std::iter::once_with(move || self.generate(scale)).flatten())
    }

    fn generate(self, scale: f64) -> Batches {
        match self {
            Dataset::Region => region::batches(scale),
            Dataset::Nation => nation::batches(scale),
            Dataset::Supplier => supplier::batches(scale),
            Dataset::Customer => customer::batches(scale),
            Dataset::Part => part::batches(scale),
            Dataset::PartSupp => partsupp::batches(scale),
            Dataset::Orders => orders::batches(scale),
            Dataset::LineItem => lineitem::batches(scale),
        }
    }

    /// How many rows there are at `scale`, by the rules of the benchmark and not by counting what was made.
    pub fn rows(self, scale: f64) -> u64 {
        let rows = match self {
            Dataset::Region => 5,
            Dataset::Nation => 25,
            Dataset::Supplier => SupplierGenerator::calculate_row_count(scale, 1, 1),
            Dataset::Customer => CustomerGenerator::calculate_row_count(scale, 1, 1),
            Dataset::Part => PartGenerator::calculate_row_count(scale, 1, 1),
            // The generator counts parts here; every part has four suppliers.
            Dataset::PartSupp => 4 * PartGenerator::calculate_row_count(scale, 1, 1),
            Dataset::Orders => OrderGenerator::calculate_row_count(scale, 1, 1),
            Dataset::LineItem => lineitem::row_count(scale),
        };
        rows.unsigned_abs()
    }

    /// The token of this table's append at `scale`.
    pub fn token(self, scale: f64) -> Result<Token> {
        let text = format!("sample/{EDITION}/scale={scale}/{}", self.name());
        Token::new(text).ok_or(Error::Scale {
            scale,
            min: super::SCALE_BOUNDS.0,
            max: super::SCALE_BOUNDS.1,
        })
    }
}

/// The scale in a token of this sample; none for another token.
pub(super) fn scale_of_token(token: &str) -> Option<f64> {
    let rest = token.strip_prefix("sample/")?.split_once("/scale=")?.1;
    rest.split_once('/')?.0.parse().ok()
}
