//! Who sees the text of remote statements. The one place that decides it, for every protocol, EXPLAIN and the log.

use policies::Principal;

/// The role that stands for everybody.
const EVERYBODY: &str = "*";

/// Whether `principal` sees the text of the statements that a query of theirs sends to a source, which has the names of
/// the source's own tables and columns and no value. `readers` are the roles that do (`planner.statement_readers`).
pub(crate) fn sees_statements(principal: &Principal, readers: &[String]) -> bool {
    readers
        .iter()
        .any(|reader| reader == EVERYBODY || principal.roles().contains(reader))
}
