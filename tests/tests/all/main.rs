//! Every test over the wire, in one binary.

mod cancel;
mod faults;
mod fleet;
mod layering;
mod sql;
mod tidy;
mod values;
