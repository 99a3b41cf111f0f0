//! What a principal may know exists: catalogs, schemas and tables. Every listing of every protocol comes from here, so
//! that a listing shows exactly what a SELECT could read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::Registry;
use connectors::{AsOf, Connector, ForeignKey, SourceTable, TableKind, Version};
use moka::sync::Cache;
use policies::{Allowance, Column, Decision, PolicySet, PolicyStore, Principal, TableName};

use crate::enforce::{Unfit, secured};
use crate::error::{Error, Result};
use crate::information_schema;
use crate::resolve::TableState;
use crate::suggest::nearest;

/// A pattern of SQL LIKE: `%` any text, `_` any one character, backslash escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether only `name` itself fits: it has no `%`. A `_` stays a letter of the name, because
    /// tools send names with it as they are.
    pub fn names(&self, name: &str) -> bool {
        !self.0.contains('%') && self.matches(name)
    }

    /// Whether `name` fits, letter case counted.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        fits(&pattern, &name)
    }
}

/// Linear in practice and bounded by `pattern * name`: only the last `%` is ever tried again.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut seen, mut retry) = (0, 0, None);
    while seen < name.len() {
        match pattern.get(at) {
            Some('%') => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some('_') => (at, seen) = (at + 1, seen + 1),
            Some('\\') if pattern.get(at + 1) == Some(&name[seen]) => (at, seen) = (at + 2, seen + 1),
            Some(letter) if *letter == name[seen] && *letter != '\\' => (at, seen) = (at + 1, seen + 1),
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (at, seen) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '%')
}

/// Which tables a listing asks for; an absent part asks for all.
#[derive(Clone, Debug, Default)]
pub struct TableFilter {
    /// The catalog, exactly.
    pub catalog: Option<String>,
    /// Schemas that fit.
    pub schema: Option<Pattern>,
    /// Tables that fit.
    pub table: Option<Pattern>,
    /// Kinds wanted.
    pub kinds: Option<Vec<TableKind>>,
    /// Whether to read columns, comment and key of each table, which costs a look at the source for each.
    pub with_columns: bool,
}

/// A table in a listing.
#[derive(Clone, Debug)]
pub struct Table {
    /// Catalog.
    pub catalog: String,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Table or view.
    pub kind: TableKind,
    /// What the owner says about it; only with columns.
    pub comment: Option<String>,
    /// The columns, when asked for. A table that cannot be opened has none.
    pub columns: Option<SchemaRef>,
    /// Columns that identify a row, in order; only with columns.
    pub primary_key: Vec<String>,
}

/// Versions whose time is kept at most.
const COMMITTED_MAX: u64 = 10_000;

/// The sources seen through the policies.
#[derive(Debug)]
pub(crate) struct Catalog {
    registry: Registry,
    policies: Arc<dyn PolicyStore>,
    /// When versions of tables were committed, by name and version.
    committed: Cache<(String, String), Option<i64>>,
}

impl Catalog {
    pub(crate) fn new(registry: Registry, policies: Arc<dyn PolicyStore>) -> Self {
        Self {
            registry,
            policies,
            committed: Cache::new(COMMITTED_MAX),
        }
    }

    /// The rules in force now.
    ///
    /// # Errors
    /// `Policy` when it is not known whether they are.
    pub(crate) fn policies(&self) -> Result<Arc<PolicySet>> {
        match self.policies.is_fresh() {
            true => Ok(self.policies.current()),
            false => Err(Error::Policy(policies::Error::Stale)),
        }
    }

    /// Where the rules come from.
    pub(crate) fn store(&self) -> Arc<dyn PolicyStore> {
        Arc::clone(&self.policies)
    }

    /// Every source with its name.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &Arc<dyn Connector>)> {
        self.registry
            .names()
            .filter_map(|name| self.registry.get(name).map(|source| (name, source)))
    }

    /// Catalogs in which the principal may know some table.
    pub(crate) async fn catalogs(&self, principal: &Principal) -> Result<Vec<String>> {
        let mut found: Vec<String> = self
            .schemas(principal, None, None)
            .await?
            .into_iter()
            .map(|pair| pair.0)
            .collect();
        found.dedup();
        Ok(found)
    }

    /// Pairs of catalog and schema in which the principal may know some table, and the information schema of each
    /// catalog; sorted.
    pub(crate) async fn schemas(
        &self,
        principal: &Principal,
        catalog: Option<&str>,
        schema: Option<&Pattern>,
    ) -> Result<Vec<(String, String)>> {
        let policies = self.policies()?;
        let mut found = Vec::new();
        for (name, source) in self
            .sources()
            .filter(|(name, _)| catalog.is_none_or(|wanted| wanted == *name))
        {
            let Some(listed) = reachable(name, catalog, source.schemas().await)? else {
                continue;
            };
            let mut names: Vec<String> = listed
                .into_iter()
                .filter(|schema| policies.reaches_schema(principal, name, schema))
                .collect();
            if names.is_empty() {
                continue;
            }
            names.push(information_schema::NAME.to_owned());
            names.sort();
            let fitting = names
                .into_iter()
                .filter(|name| schema.is_none_or(|pattern| pattern.matches(name)));
            found.extend(fitting.map(|schema| (name.to_owned(), schema)));
        }
        Ok(found)
    }

    /// Tables that the principal may know, sorted by catalog, schema and name; the information schema's own tables are
    /// not among them.
    pub(crate) async fn tables(&self, principal: &Principal, filter: &TableFilter) -> Result<Vec<Table>> {
        let policies = self.policies()?;
        let mut found = Vec::new();
        for (catalog, source) in self.sources() {
            if filter.catalog.as_ref().is_some_and(|wanted| wanted != catalog) {
                continue;
            }
            let Some(listed) = reachable(catalog, filter.catalog.as_deref(), source.tables().await)? else {
                continue;
            };
            for entry in listed {
                let fits = filter
                    .schema
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(&entry.schema))
                    && filter
                        .table
                        .as_ref()
                        .is_none_or(|pattern| pattern.matches(&entry.name))
                    && filter
                        .kinds
                        .as_ref()
                        .is_none_or(|kinds| kinds.contains(&entry.kind));
                let name = table_name(catalog, &entry.schema, &entry.name);
                if !fits {
                    continue;
                }
                if let Decision::Allow(allowance) = policies.decide(principal, &name) {
                    let opened = open(source, &name, &allowance, filter.with_columns).await;
                    found.extend(opened.map(|opened| entry_of(name, entry.kind, opened)));
                }
            }
        }
        Ok(found)
    }

    /// A table as the principal may read it, at `at` or as it is now: where the policy says less than all, it stands
    /// behind its barrier. Denied and absent are one and the same `UnknownTable`, and so is a table to which a rule about
    /// it cannot be applied.
    pub(crate) async fn table(
        &self,
        principal: &Principal,
        name: &TableName,
        at: Option<&Version>,
    ) -> Result<SourceTable> {
        let decision = self.policies()?.decide(principal, name);
        if let (Decision::Allow(allowance), Some(source)) = (decision, self.registry.get(&name.catalog)) {
            match source.table(&name.schema, &name.table, at).await {
                Ok(Some(table)) => {
                    let now = match at {
                        Some(_) if !allowance.is_plain() => {
                            source.table(&name.schema, &name.table, None).await?
                        }
                        _ => None,
                    };
                    match secured(table, name, &allowance, now.as_ref().map(|now| &now.schema)) {
                        Ok(table) => return Ok(table),
                        Err(unfit) => closed(name, &unfit),
                    }
                }
                Ok(None) => {}
                Err(connectors::Error::VersionGone { .. }) => {
                    let version = at.map(ToString::to_string).unwrap_or_default();
                    return Err(Error::VersionGone {
                        table: name.to_string(),
                        version,
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(self.unknown(principal, name).await)
    }

    /// The version that a table the principal may read had at an earlier state. Denied and absent are one and the same
    /// `UnknownTable`; a state that the table does not keep is an `UnknownVersion` in the words `asked`.
    pub(crate) async fn version(
        &self,
        principal: &Principal,
        name: &TableName,
        at: &AsOf,
        asked: &str,
    ) -> Result<Version> {
        let allowed = self.policies()?.decide(principal, name).is_allowed();
        let source = self.registry.get(&name.catalog).filter(|_| allowed);
        if let Some(source) = source {
            match source.version_as_of(&name.schema, &name.table, at).await {
                Ok(Some(version)) => return Ok(version),
                Ok(None) => {}
                Err(connectors::Error::VersionGone { .. }) => {
                    return Err(Error::UnknownVersion {
                        table: name.to_string(),
                        asked: asked.to_owned(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(self.unknown(principal, name).await)
    }

    /// The state of a table at a version. When a version was committed never changes, so it is asked once.
    pub(crate) async fn state(&self, name: &TableName, version: &Version) -> Result<TableState> {
        let source = self.registry.get(&name.catalog);
        let capabilities = source.map(|source| source.capabilities());
        let is_versioned = capabilities.is_some_and(|capabilities| capabilities.versions);
        let as_of = match source.filter(|_| is_versioned) {
            Some(source) => {
                let key = (name.to_string(), version.to_string());
                match self.committed.get(&key) {
                    Some(known) => known,
                    None => {
                        let told = source.committed(&name.schema, &name.table, version).await?;
                        self.committed.insert(key, told);
                        told
                    }
                }
            }
            None => None,
        };
        Ok(TableState {
            catalog: name.catalog.clone(),
            name: format!("{}.{}", name.schema, name.table),
            kind: capabilities.map_or("unknown", |capabilities| capabilities.kind),
            version: version.to_string(),
            is_versioned,
            as_of,
        })
    }

    /// The foreign keys between tables that the principal may know, with their catalog, sorted.
    pub(crate) async fn foreign_keys(
        &self,
        principal: &Principal,
        catalog: Option<&str>,
    ) -> Result<Vec<(String, ForeignKey)>> {
        let policies = self.policies()?;
        let mut found = Vec::new();
        for (name, source) in self.sources() {
            if catalog.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let Some(keys) = reachable(name, catalog, source.foreign_keys().await)? else {
                continue;
            };
            // A key tells of both of its tables and of all of its columns.
            let knows = |(schema, table): &(String, String), columns: &[String]| {
                let decision = policies.decide(principal, &table_name(name, schema, table));
                decision.allowance().is_some_and(|allowance| {
                    let is_there = |column: &String| allowance.column(column) != Column::Absent;
                    columns.iter().all(is_there)
                })
            };
            let known = keys.into_iter().filter(|key| {
                knows(&key.table, &key.columns) && knows(&key.referenced, &key.referenced_columns)
            });
            found.extend(known.map(|key| (name.to_owned(), key)));
        }
        Ok(found)
    }

    async fn unknown(&self, principal: &Principal, name: &TableName) -> Error {
        let visible = self
            .tables(principal, &TableFilter::default())
            .await
            .unwrap_or_default();
        // By the last part alone: a long common prefix would make every table of a schema look alike.
        let nearest =
            nearest(&name.table, visible.iter().map(|table| table.name.as_str())).and_then(|found| {
                let table = visible.iter().find(|table| table.name == found)?;
                Some(format!("{}.{}.{}", table.catalog, table.schema, table.name))
            });
        Error::UnknownTable {
            name: name.to_string(),
            nearest,
        }
    }
}

pub(crate) fn table_name(catalog: &str, schema: &str, table: &str) -> TableName {
    TableName {
        catalog: catalog.to_owned(),
        schema: schema.to_owned(),
        table: table.to_owned(),
    }
}

/// What a source lists. One that is down must not hide the others: it is left out, unless it was asked for by name.
fn reachable<T>(name: &str, asked: Option<&str>, listed: connectors::Result<T>) -> Result<Option<T>> {
    match listed {
        Ok(listed) => Ok(Some(listed)),
        Err(error) if asked.is_none() && error.is_retryable() => {
            tracing::warn!(source = name, error = %error, "a listing leaves out a source that is down");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What a listing tells of a table beyond its name.
#[derive(Default)]
struct Opened {
    comment: Option<String>,
    columns: Option<SchemaRef>,
    primary_key: Vec<String>,
}

/// A table for a listing; none when a rule about it cannot be applied. One that cannot be opened is still listed, without
/// columns: a listing must not fail for one bad table.
async fn open(
    source: &Arc<dyn Connector>,
    name: &TableName,
    allowance: &Allowance,
    with_columns: bool,
) -> Option<Opened> {
    // A rule that names columns may have lost one, and then the table is not there.
    if !with_columns && allowance.is_plain() {
        return Some(Opened::default());
    }
    let table = match source.table(&name.schema, &name.table, None).await {
        Ok(Some(table)) => table,
        Ok(None) => return Some(Opened::default()),
        Err(error) => {
            tracing::debug!(table = %name, error = %error, "a listed table cannot be opened");
            return Some(Opened::default());
        }
    };
    match secured(table, name, allowance, None) {
        Ok(_) if !with_columns => Some(Opened::default()),
        Ok(table) => Some(Opened {
            comment: table.comment,
            columns: Some(table.schema),
            primary_key: table.primary_key,
        }),
        Err(unfit) => {
            closed(name, &unfit);
            None
        }
    }
}

fn entry_of(name: TableName, kind: TableKind, opened: Opened) -> Table {
    Table {
        catalog: name.catalog,
        schema: name.schema,
        name: name.table,
        kind,
        comment: opened.comment,
        columns: opened.columns,
        primary_key: opened.primary_key,
    }
}

/// Tells who runs the gateway that a rule does not fit its table.
fn closed(name: &TableName, unfit: &Unfit) {
    tracing::error!(table = %name, reason = %unfit, "a policy cannot be applied; the table is closed");
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_are_those_of_like() {
        for (pattern, name, expected) in [
            ("%", "", true),
            ("%", "x", true),
            ("line%", "lineitem", true),
            ("%item", "lineitem", true),
            ("l_neitem", "lineitem", true),
            ("l\\_neitem", "lineitem", false),
            ("a\\_b", "a_b", true),
            ("%a%b", "xaxxb", true),
            ("%a%b", "xaxxbc", false),
            ("", "x", false),
            ("", "", true),
            ("gold", "GOLD", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_leaves_much_open_names_nothing() {
        for (pattern, expected) in [
            ("information_schema", true),
            ("information\\_schema", true),
            ("information%", false),
            ("%", false),
            ("gold", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).names("information_schema"),
                expected,
                "{pattern}"
            );
        }
    }
}
