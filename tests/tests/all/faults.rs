//! Bad input and broken surroundings: a clear answer that names the thing at fault, and the next query works.

mod files;
mod killers;
mod start;
mod wire;
