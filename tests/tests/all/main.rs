//! Every test over the wire, in one binary.

mod audit;
mod cancel;
mod faults;
mod federation;
mod fleet;
mod heartbeat;
mod identity;
mod layering;
mod limits;
mod rates;
mod reload;
mod sql;
mod tidy;
mod tls;
mod values;
