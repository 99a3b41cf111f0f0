//! What one request brings, and what describing it gives back. All of it can travel in a ticket except the
//! principal, who is proven anew by every call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use policies::Principal;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::parse::StatementKind;
use crate::reads::Reads;
use crate::report::Report;

/// Who asks, in which session, until when.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names the request in logs and error answers.
    pub id: String,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// Names and settings that the statement is read with.
    pub session: Session,
    /// When the query is stopped; none means the configured limit alone.
    pub deadline: Option<Instant>,
}

/// The settings of a session. A session lives with the client (in its token or ticket), never in this process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    /// Catalog of names with fewer than three parts.
    pub catalog: String,
    /// Schema of names with one part.
    pub schema: String,
    /// Time zone of naive timestamps and of `now()`; an IANA name or an offset such as `+02:00`.
    pub time_zone: String,
    /// What the session demands of its sources.
    pub rules: SourceRules,
    /// `lakegate.cache`.
    pub cache: CacheMode,
}

/// Whether rows that were made before may answer a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// They may, and rows that are made are kept.
    #[default]
    On,
    /// They may not, and none are kept.
    Off,
    /// They may not, and the new ones take their place.
    Refresh,
}

impl CacheMode {
    /// The word, as settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Refresh => "refresh",
        }
    }

    fn parse(value: &str) -> Result<Self> {
        let word = value.trim().to_lowercase();
        let found = [Self::On, Self::Off, Self::Refresh]
            .into_iter()
            .find(|mode| mode.as_str() == word);
        found.ok_or_else(|| Error::Setting {
            key: "lakegate.cache".to_owned(),
            problem: "takes 'on', 'off' or 'refresh'".to_owned(),
        })
    }
}

/// What a session demands of its sources; a query that cannot meet it is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceRules {
    /// `lakegate.pushdown`.
    pub pushdown: PushdownRule,
    /// `lakegate.max_rows_from_source`: the most rows that one source gives to one query; none is no bound.
    pub rows_max: Option<u64>,
    /// `lakegate.max_staleness`: the oldest state of a table that is read; none is no bound.
    pub staleness_max: Option<Duration>,
}

/// Whether a query may leave work here that would make fewer rows come from a source which runs statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushdownRule {
    /// What goes down exactly goes down, the rest runs here.
    #[default]
    Prefer,
    /// A filter, join, aggregate or limit over the rows of one such source runs there, or the query is refused. A join of
    /// several sources is always made here.
    Require,
    /// Nothing goes down but the columns: what a source gives is what its tables hold. For comparing, and for a source that
    /// must be spared work.
    Off,
}

/// The word for a bound that is not set.
const NONE: &str = "none";

impl PushdownRule {
    /// The word, as settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::Off => "off",
        }
    }
}

impl SourceRules {
    /// Changes one rule by its setting's name.
    fn assign(&mut self, key: &str, value: &str) -> Result<()> {
        let refused = |problem: &str| Error::Setting {
            key: key.to_owned(),
            problem: problem.to_owned(),
        };
        let word = value.trim().to_lowercase();
        let is_none = word == NONE;
        match key {
            "lakegate.pushdown" => {
                self.pushdown = match word.as_str() {
                    "prefer" => PushdownRule::Prefer,
                    "require" => PushdownRule::Require,
                    "off" => PushdownRule::Off,
                    _ => return Err(refused("takes 'prefer', 'require' or 'off'")),
                }
            }
            "lakegate.max_rows_from_source" => {
                let rows = word.parse().ok().filter(|rows| *rows > 0);
                if rows.is_none() && !is_none {
                    return Err(refused("takes a number of rows from 1 on, or 'none'"));
                }
                self.rows_max = rows;
            }
            _ => {
                let most = humantime_serde::re::humantime::parse_duration(&word).ok();
                if most.is_none() && !is_none {
                    return Err(refused("takes a time such as '5m' or '1h 30m', or 'none'"));
                }
                self.staleness_max = most;
            }
        }
        Ok(())
    }
}

impl Session {
    /// Changes one setting by its name. Whether a catalog or schema exists is not asked here.
    ///
    /// # Errors
    /// `Setting` for an unknown name or a value that it cannot take.
    pub fn assign(&mut self, key: &str, value: &str) -> Result<()> {
        match crate::parse::known_setting(key)?.as_str() {
            "catalog" => value.clone_into(&mut self.catalog),
            "schema" => value.clone_into(&mut self.schema),
            "timezone" => {
                crate::session::check_time_zone(value)?;
                value.clone_into(&mut self.time_zone);
            }
            "lakegate.cache" => self.cache = CacheMode::parse(value)?,
            rule => self.rules.assign(rule, value)?,
        }
        Ok(())
    }

    /// Every setting as key and value, in the order a person reads them.
    pub fn settings(&self) -> [(&'static str, String); 7] {
        let rules = &self.rules;
        let none = || NONE.to_owned();
        let staleness = rules.staleness_max.map_or_else(none, |most| {
            humantime_serde::re::humantime::format_duration(most).to_string()
        });
        [
            ("catalog", self.catalog.clone()),
            ("schema", self.schema.clone()),
            ("timezone", self.time_zone.clone()),
            ("lakegate.pushdown", rules.pushdown.as_str().to_owned()),
            (
                "lakegate.max_rows_from_source",
                rules.rows_max.map_or_else(none, |rows| rows.to_string()),
            ),
            ("lakegate.max_staleness", staleness),
            ("lakegate.cache", self.cache.as_str().to_owned()),
        ]
    }
}

/// One statement with what it needs to run the same way on any gateway.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The text as the client sent it.
    pub sql: String,
    /// Values of the parameters, a column each; every row is one run.
    pub parameters: Option<RecordBatch>,
    /// Versions of the tables to read; tables that are not named are read at their newest version.
    pub pins: Pins,
    /// Only one part of the result.
    pub partition: Option<Partition>,
    /// At most so many rows.
    pub rows_max: Option<u64>,
    /// The time that `now()` gives, in microseconds since 1970 UTC; none means that of the run. All parts of a result
    /// have the same.
    pub at: Option<i64>,
}

impl Query {
    /// A query of a text alone.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            ..Self::default()
        }
    }
}

/// The version of each table that a query reads, by full name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pins(pub BTreeMap<String, String>);

/// One part of a result that is split for parallel fetching. The split is a function of the statement, the pins and
/// `target`, so that any gateway cuts the same parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Which part, from zero.
    pub index: usize,
    /// How many parts there are.
    pub count: usize,
    /// The number of partitions the planner was asked for.
    pub target: usize,
}

/// What a statement is, before it runs.
#[derive(Clone, Debug)]
pub struct Described {
    /// What kind of statement.
    pub kind: StatementKind,
    /// Columns of the result.
    pub schema: SchemaRef,
    /// Parameters in order of position; a parameter whose type cannot be told is text.
    pub parameters: Vec<FieldRef>,
    /// Versions of the tables it would read now.
    pub pins: Pins,
    /// The time that `now()` gives in every part, in microseconds since 1970 UTC.
    pub at: i64,
    /// Parts in which the result can be fetched, each alone; empty when it is one piece.
    pub partitions: Vec<Partition>,
    /// Origin of each result column, where it is one column of one table.
    pub origins: Vec<Option<Origin>>,
    /// What its sources will be asked; none for a statement that reads nothing. What is read is in it when the plan had to
    /// be made for another reason, or when a source runs statements for it.
    pub report: Option<Report>,
    /// What it reads; none for a statement that changes the session.
    pub reads: Option<Reads>,
}

impl Described {
    /// A statement that gives no rows.
    pub(crate) fn without_rows(kind: StatementKind) -> Self {
        Self {
            kind,
            schema: Arc::new(arrow::datatypes::Schema::empty()),
            parameters: Vec::new(),
            pins: Pins::default(),
            at: chrono::Utc::now().timestamp_micros(),
            partitions: Vec::new(),
            origins: Vec::new(),
            report: None,
            reads: None,
        }
    }
}

/// The table and column that a result column comes from unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Catalog of the table.
    pub catalog: String,
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Name of the column.
    pub column: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_set_shown_and_unset_by_its_name() {
        let mut session = Session {
            catalog: "lake".to_owned(),
            schema: "gold".to_owned(),
            time_zone: "UTC".to_owned(),
            rules: SourceRules::default(),
            cache: CacheMode::default(),
        };
        let untouched = session.clone();
        for (key, value, shown) in [
            ("lakegate.pushdown", "REQUIRE", "require"),
            ("lakegate.max_rows_from_source", "100", "100"),
            ("LAKEGATE.max_staleness", "90 min", "1h 30m"),
            ("lakegate.cache", " Refresh", "refresh"),
        ] {
            session.assign(key, value).unwrap();
            let settings = session.settings();
            let found = settings.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
            assert_eq!(found.unwrap().1, shown);
        }
        for (key, value) in [
            ("lakegate.pushdown", "always"),
            ("lakegate.max_rows_from_source", "0"),
            ("lakegate.max_rows_from_source", "-1"),
            ("lakegate.max_staleness", "soon"),
            ("lakegate.cache", "maybe"),
            ("lakegate.max_rows", "1"),
        ] {
            let refused = session.clone().assign(key, value);
            assert!(matches!(refused, Err(Error::Setting { .. })), "{key} {value}");
        }
        // What is shown can be set again.
        let mut copy = untouched.clone();
        for (key, value) in session.settings() {
            copy.assign(key, &value).unwrap();
        }
        assert_eq!(copy, session);
        for (key, value) in untouched.settings() {
            session.assign(key, &value).unwrap();
        }
        assert_eq!(session, untouched);
    }
}
