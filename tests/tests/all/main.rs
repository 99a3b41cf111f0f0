//! Every test over the wire, in one binary.

mod audit;
mod cache;
mod cancel;
mod catalogs;
mod faults;
mod federation;
mod fleet;
mod heartbeat;
mod identity;
mod ingest;
mod interop;
mod kafka;
mod layering;
mod limits;
mod objects;
mod pages;
mod policies;
mod random;
mod rates;
mod reload;
mod security;
mod sql;
mod tidy;
mod tls;
mod travel;
mod values;
