//! The connector against a real server, by what a query answers.

mod catalog;
mod faults;
mod nested;
mod pushdown;
mod scan;
mod types;
mod writing;
