//! `lakegate policies check`: the document by itself, and laid over the tables of a gateway's sources.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::policies::review::findings;
use ::policies::{PolicySet, PolicyStore};
use planner::{Engine, Review};

use super::super::{Failure, runtime};
use super::{open, print};
use crate::config::{Config, Environment};

/// Lines of a check, and how many of them are faults.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    total: usize,
    failed: usize,
    first: Option<String>,
}

impl Report {
    fn fail(&mut self, about: &str, problem: &str) {
        self.lines.push(format!("FAIL {about}: {problem}"));
        self.failed += 1;
        self.first.get_or_insert_with(|| about.to_owned());
    }

    fn warn(&mut self, is_strict: bool, about: &str, problem: &str) {
        self.total += 1;
        match is_strict {
            true => self.fail(about, problem),
            false => self.lines.push(format!("warn {about}: {problem}")),
        }
    }
}

pub(super) fn check(
    document: &Path,
    config: Option<&Path>,
    is_strict: bool,
    environment: &Environment,
) -> Result<(), Failure> {
    let set = Arc::new(open(document)?);
    let mut report = Report {
        total: 1,
        ..Report::default()
    };
    report
        .lines
        .push(format!("ok   {}, epoch {}", document.display(), set.epoch()));
    for finding in findings(&set) {
        report.warn(is_strict, &finding.about, &finding.problem);
    }
    if let Some(path) = config {
        let config = Config::load(path, environment)?;
        let review = runtime()?.block_on(reviewed(&config, environment, &set))?;
        told(&review, is_strict, &mut report);
    }
    print(&report.lines)?;
    match report.first {
        None => Ok(()),
        Some(first) => Err(Failure::Checks {
            first,
            failed: report.failed,
            total: report.total,
        }),
    }
}

/// The document over the tables of the config's sources; a source that cannot be opened is unseen.
async fn reviewed(
    config: &Config,
    environment: &Environment,
    set: &Arc<PolicySet>,
) -> Result<Review, Failure> {
    let planner = config.planner_with_secrets(environment)?;
    let policies: Arc<dyn PolicyStore> = Arc::new(Unread(Arc::clone(set)));
    let mut found = Review::default();
    let mut lost: Option<Vec<(String, String)>> = None;
    for (name, source) in &planner.sources {
        let alone = planner::Config {
            sources: BTreeMap::from([(name.clone(), source.clone())]),
            ..planner.clone()
        };
        match Engine::open(&alone, Arc::clone(&policies)).await {
            Ok(engine) => {
                let review = engine.review(set).await.map_err(crate::error::Error::from)?;
                found.tables += review.tables;
                found.closed.extend(review.closed);
                found.unseen.extend(review.unseen);
                // A name is lost where no source has it.
                lost = Some(match lost {
                    None => review.unmatched,
                    Some(lost) => lost
                        .into_iter()
                        .filter(|name| review.unmatched.contains(name))
                        .collect(),
                });
            }
            Err(error) => found.unseen.push((name.clone(), error.to_string())),
        }
    }
    found.unmatched = lost.unwrap_or_default();
    Ok(found)
}

fn told(review: &Review, is_strict: bool, report: &mut Report) {
    report.total += review.tables;
    for closed in &review.closed {
        let roles: Vec<String> = closed
            .roles
            .iter()
            .map(|role| match role.as_str() {
                "" => "somebody without a role".to_owned(),
                role => format!("'{role}'"),
            })
            .collect();
        let problem = format!("is closed for {}: {}", roles.join(", "), closed.reason);
        report.fail(&closed.table.to_string(), &problem);
    }
    for (name, problem) in &review.unseen {
        report.warn(is_strict, name, &format!("could not be looked at: {problem}"));
    }
    for (rule, table) in &review.unmatched {
        report.warn(
            is_strict,
            &format!("rule '{rule}'"),
            &format!("there is no table {table} now"),
        );
    }
    report.lines.push(format!(
        "{} {} tables looked at",
        if review.closed.is_empty() { "ok  " } else { "    " },
        review.tables
    ));
}

/// A store for an engine that is asked for a review and never for rows.
#[derive(Debug)]
struct Unread(Arc<PolicySet>);

impl PolicyStore for Unread {
    fn current(&self) -> Arc<PolicySet> {
        Arc::clone(&self.0)
    }

    fn is_fresh(&self) -> bool {
        false
    }
}
