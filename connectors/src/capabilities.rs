//! What may be handed down to a source, as plain data: a change of pushdown is a reviewable change of one printed line.

use std::fmt;

/// How far a source goes with one kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushdown {
    /// Not at all: the engine does it.
    No,
    /// To read less; the engine does it again on what comes.
    Prunes,
    /// Fully, with the engine's own meaning.
    Exact,
}

impl fmt::Display for Pushdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Prunes => "prunes",
            Self::Exact => "exact",
        })
    }
}

/// What the planner may expect of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind of source, as in the config.
    pub kind: &'static str,
    /// Reading only some columns.
    pub projection: Pushdown,
    /// Reading only rows that meet a predicate.
    pub filter: Pushdown,
    /// Stopping after some rows. `Prunes`: may give more rows than asked.
    pub limit: Pushdown,
    /// Grouping and aggregate functions.
    pub aggregate: Pushdown,
    /// Joins between tables of the source.
    pub join: Pushdown,
    /// Whether a table can be read again as it was.
    pub versions: bool,
    /// Whether a scan comes in several partitions that can be read apart.
    pub partitions: bool,
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: projection={} filter={} limit={} aggregate={} join={} versions={} partitions={}",
            self.kind,
            self.projection,
            self.filter,
            self.limit,
            self.aggregate,
            self.join,
            if self.versions { "yes" } else { "no" },
            if self.partitions { "yes" } else { "no" },
        )
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn prints_as_one_line() {
        assert_eq!(
            crate::iceberg::CAPABILITIES.to_string(),
            "iceberg: projection=exact filter=prunes limit=prunes aggregate=no join=no versions=yes partitions=yes"
        );
        assert_eq!(
            crate::postgres::CAPABILITIES.to_string(),
            "postgres: projection=exact filter=exact limit=exact aggregate=no join=no versions=no partitions=no"
        );
    }
}
