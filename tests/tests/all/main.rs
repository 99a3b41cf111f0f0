//! Every test over the wire, in one binary.

mod cancel;
mod faults;
mod federation;
mod fleet;
mod heartbeat;
mod ingest;
mod layering;
mod limits;
mod reload;
mod sql;
mod tidy;
mod tls;
mod values;
