//! Whether the rules of a document fit the tables that the sources have now: what a rule that does not fit would close at
//! its first query is told before the document is in force.

use std::collections::{BTreeMap, BTreeSet};

use policies::review::{self, Somebody};
use policies::{Decision, PolicySet, TableName};

use crate::catalog::{Catalog, table_name};
use crate::enforce::secured;

/// What was found of a document and the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// The tables that were looked at.
    pub tables: usize,
    /// Tables that the document closes to a role, since a rule about them cannot be applied.
    pub closed: Vec<Closed>,
    /// Names in rules that no table has, each with its rule. A table to come may have it.
    pub unmatched: Vec<(String, String)>,
    /// Sources and tables that could not be looked at, each with the reason.
    pub unseen: Vec<(String, String)>,
}

/// A table that is not there for a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The table.
    pub table: TableName,
    /// The roles, each alone; an empty name is somebody without a role.
    pub roles: BTreeSet<String>,
    /// Why.
    pub reason: String,
}

/// Lays the document over every table of every source, for each role that it names and for somebody without one.
pub(crate) async fn review(catalog: &Catalog, set: &PolicySet) -> Review {
    let mut found = Review::default();
    let mut names = Vec::new();
    let mut closed: BTreeMap<(TableName, String), BTreeSet<String>> = BTreeMap::new();
    for (name, source) in catalog.sources() {
        let listed = match source.tables().await {
            Ok(listed) => listed,
            Err(error) => {
                found.unseen.push((name.to_owned(), error.to_string()));
                continue;
            }
        };
        for entry in listed {
            let table = table_name(name, &entry.schema, &entry.name);
            names.push(table.clone());
            let opened = match source.table(&entry.schema, &entry.name, None).await {
                Ok(Some(opened)) => opened,
                // Somebody has dropped it since it was listed.
                Ok(None) => continue,
                Err(error) => {
                    found.unseen.push((table.to_string(), error.to_string()));
                    continue;
                }
            };
            found.tables += 1;
            for role in review::roles(set).into_iter().chain([String::new()]) {
                let who = Somebody {
                    subject: String::new(),
                    roles: Some(role.clone())
                        .into_iter()
                        .filter(|role| !role.is_empty())
                        .collect(),
                };
                if let Decision::Allow(allowance) = review::decide(set, &who, &table)
                    && let Err(unfit) = secured(opened.clone(), &table, &allowance, None)
                {
                    closed
                        .entry((table.clone(), unfit.to_string()))
                        .or_default()
                        .insert(role);
                }
            }
        }
    }
    found.closed = closed
        .into_iter()
        .map(|((table, reason), roles)| Closed { table, roles, reason })
        .collect();
    found.unmatched = review::unmatched(set, &names);
    found
}
