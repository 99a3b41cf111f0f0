//! Whoever is measured: the gateway, the floors, and the other engines. Each file starts one of them, with its defaults
//! unless the file says why not.

pub mod datafusion;
pub mod decode;
pub mod duckdb;
pub mod echo;
pub mod floor;
pub mod gateway;
pub mod postgres;
pub mod roapi;
pub mod sail;
