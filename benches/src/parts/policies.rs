//! (g) What policies cost: the 22 TPC-H queries of somebody whom every table shows some rows and a masked column, against the
//! same queries of an admin with the filter and the mask written by hand; and decisions by themselves, at ten thousand rules
//! against ten.
//!
//! The hand-written side names each table's view in a `WITH` before the query, so both sides ask for the same rows.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use policies::review::{Somebody, decide};
use policies::{Decision, PolicySet, TableName};
use serde_json::json;

use super::tpch::{answered, difference, total};
use super::{Found, Run};
use crate::engines::{Asked, Engine, Remote};
use crate::flight::{connect, query};
use crate::measure::{Subject, rounds};
use crate::noise::Watch;
use crate::peers::gateway::{Gateway, login};
use crate::random::Random;
use crate::table::{Bound, Of, Row, Rows};

/// A table with the rows that are shown and the columns that are masked: NULL, or all but the last four characters.
struct Secured {
    table: &'static str,
    shown: &'static str,
    null: &'static str,
    partial: Option<&'static str>,
}

const fn secured(table: &'static str, shown: &'static str, null: &'static str) -> Secured {
    Secured {
        table,
        shown,
        null,
        partial: None,
    }
}

const TABLES: [Secured; 8] = [
    secured("lineitem", "l_quantity < 48", "l_comment"),
    secured("orders", "o_orderdate >= DATE '1992-02-01'", "o_clerk"),
    Secured {
        partial: Some("c_phone"),
        ..secured("customer", "c_acctbal > -900", "c_comment")
    },
    secured("part", "p_size < 50", "p_comment"),
    secured("partsupp", "ps_availqty > 100", "ps_comment"),
    Secured {
        partial: Some("s_phone"),
        ..secured("supplier", "s_acctbal > -900", "s_comment")
    },
    secured("nation", "n_nationkey <> 24", "n_comment"),
    secured("region", "r_regionkey < 4", "r_comment"),
];

/// Rules of the large document, and of the small one.
const RULES: [usize; 2] = [10_000, 10];

/// Decisions that are timed, each kind.
const DECISIONS: usize = 200_000;

/// Runs the part.
///
/// # Errors
/// When a gateway cannot be had.
pub async fn run(run: &Run) -> Result<Found> {
    let watch = Watch::start()?;
    let mut found = Found::default();
    found.rows.extend(decisions(run)?);
    let folder = run.place.peer("policies");
    fs::create_dir_all(&folder)?;
    let file = folder.join("policies.toml");
    fs::write(&file, document()?)?;
    let gateway = Gateway::with_policies(&run.place, &file).await?;
    let server = gateway.id()?;
    let viewer = login(&run.place, "viewer")?;
    let mut under = Remote {
        server,
        client: connect(&gateway.flight, Some(&viewer)).await?,
    };
    let mut admin = Remote {
        server,
        client: gateway.connect().await?,
    };
    let views = views(&mut admin).await?;
    let mut lines = Vec::new();
    let mut samples = Vec::new();
    for number in 1..=22 {
        let sql = run.place.query(number)?;
        let by_hand = with(&views, &sql);
        let rows = difference(
            &answered(&mut under, &sql).await,
            &answered(&mut admin, &by_hand).await,
        );
        eprintln!("bench: (g) Q{number}");
        let asked: [(&mut dyn Engine, &str); 2] = [(&mut under, &sql), (&mut admin, &by_hand)];
        let mut subjects: Vec<Box<dyn Subject + '_>> = Vec::new();
        for (engine, sql) in asked {
            subjects.push(Box::new(Asked { engine, sql }));
        }
        let series = rounds(&mut subjects, run.rounds).await;
        let mut row = Row::new(
            'g',
            format!("TPC-H Q{number} under policies"),
            "s",
            "written by hand",
        );
        if let [ours, theirs] = series.as_slice() {
            (row.ours, row.peer) = (ours.wall(), theirs.wall());
            (row.ours_cpu, row.peer_cpu) = (ours.cpu(), theirs.cpu());
            row.failure = ours.failure.clone().or_else(|| theirs.failure.clone());
        }
        row.rows = rows;
        lines.push(row);
        samples.push(json!({ "query": number, "series": series }));
    }
    let sum = total('g', "TPC-H under policies, sum of 22 queries", &lines);
    found.rows.push(sum.with_goal(10, Of::Ratio, Bound::AtMost(1.05)));
    found.rows.extend(lines);
    found.samples = json!(samples);
    found.noise = watch.end()?;
    gateway.stop().await?;
    Ok(found)
}

/// The policies of the run: admins see all, viewers what [`TABLES`] says.
fn document() -> Result<String> {
    let mut text = String::from(
        "[[allow]]\nname = \"all\"\nroles = [\"admin\", \"data_viewer\"]\ntables = [\"lake.*.*\"]\n",
    );
    for Secured {
        table,
        shown,
        null,
        partial,
    } in &TABLES
    {
        let on = format!("lake.gold.{table}");
        write!(
            text,
            "[[filter]]\nname = \"some of {table}\"\nroles = [\"data_viewer\"]\non = [\"{on}\"]\nwhere = \"{shown}\"\n\
             [[filter]]\nname = \"all of {table}\"\nroles = [\"admin\"]\non = [\"{on}\"]\nwhere = \"TRUE\"\n\
             [[mask]]\nname = \"{null}\"\nroles = [\"data_viewer\"]\non = [\"{on}.{null}\"]\nkind = \"null\"\n"
        )?;
        if let Some(column) = partial {
            write!(
                text,
                "[[mask]]\nname = \"{column}\"\nroles = [\"data_viewer\"]\non = [\"{on}.{column}\"]\nkind = \"partial\"\nlast = 4\n"
            )?;
        }
    }
    Ok(text)
}

/// The tables as the viewer sees them, written by hand: `name AS (SELECT ...)` each.
async fn views(admin: &mut Remote) -> Result<String> {
    let mut views = Vec::new();
    for secured in &TABLES {
        let all = format!("SELECT * FROM lake.gold.{} LIMIT 1", secured.table);
        let rows = query(&mut admin.client, &all).await?;
        let schema = rows.first().context("a table without rows")?.schema();
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                name if name == secured.null => format!("CAST(NULL AS VARCHAR) AS {name}"),
                // Telephone numbers of TPC-H have fifteen characters.
                name if Some(name) == secured.partial => {
                    format!("concat('***********', right({name}, 4)) AS {name}")
                }
                name => name.to_owned(),
            })
            .collect();
        views.push(format!(
            "{} AS (SELECT {} FROM lake.gold.{} WHERE {})",
            secured.table,
            columns.join(", "),
            secured.table,
            secured.shown
        ));
    }
    Ok(views.join(",\n"))
}

/// A query over the views.
fn with(views: &str, sql: &str) -> String {
    let sql = sql.trim_start();
    match sql.get(..5).filter(|word| word.eq_ignore_ascii_case("with ")) {
        Some(_) => format!("WITH {views},\n{}", sql.get(5..).unwrap_or_default()),
        None => format!("WITH {views}\n{sql}"),
    }
}

/// Decisions at many rules against few: those that were made before in the same epoch, and those that are made anew.
fn decisions(run: &Run) -> Result<Vec<Row>> {
    let count = if run.quick { DECISIONS / 20 } else { DECISIONS };
    let mut figures = Vec::new();
    for rules in RULES {
        let set = PolicySet::parse(&rules_document(rules)?, Path::new("bench"))?;
        let tables = rules.div_ceil(2);
        let mut random = Random::new(run.seed, rules as u64);
        let questions: Vec<(Somebody, TableName)> = (0..500)
            .map(|_| {
                let number = usize::try_from(random.next()).unwrap_or(0) % tables;
                let who = Somebody {
                    subject: format!("somebody {}", number % 50),
                    roles: [
                        format!("role {}", number % 50),
                        format!("role {}", (number + 1) % 50),
                    ]
                    .into(),
                };
                (who, TableName::new("lake", "gold", format!("t{number}")))
            })
            .collect();
        // The first time each question is asked it is decided; afterwards it is known.
        let asked = |(who, table): &(Somebody, TableName)| -> (f64, bool) {
            let start = Instant::now();
            let is_allowed = matches!(decide(&set, who, table), Decision::Allow(_));
            (start.elapsed().as_secs_f64() * 1e6, is_allowed)
        };
        let anew: Vec<(f64, bool)> = questions.iter().map(asked).collect();
        let known: Vec<(f64, bool)> = questions.iter().cycle().take(count).map(asked).collect();
        let allowed = anew.iter().filter(|(_, is_allowed)| *is_allowed).count();
        anyhow::ensure!(allowed == questions.len(), "a rule that opens nothing: {allowed}");
        figures.push((percentile(anew), percentile(known)));
    }
    let [(anew, known), (few_anew, few_known)] = figures.as_slice() else {
        return Ok(Vec::new());
    };
    let row = |name: &str, ours: &f64, peer: &f64| {
        let mut row = Row::new('g', name, "us", format!("at {} rules", RULES[1]));
        (row.ours, row.peer) = (Some(*ours), Some(*peer));
        row.rows = Rows::Checked(count as u64);
        row
    };
    Ok(vec![
        row(
            "decision at 10,000 rules, known in its epoch, p99",
            known,
            few_known,
        ),
        row("decision at 10,000 rules, made anew, p99", anew, few_anew),
    ])
}

/// Half of the rules are grants of a table to a role, a quarter row filters, a quarter masks.
fn rules_document(rules: usize) -> Result<String> {
    let mut text = String::new();
    for number in 0..rules.div_ceil(2) {
        let (role, on) = (number % 50, format!("lake.gold.t{number}"));
        write!(
            text,
            "[[grant]]\nname = \"g{number}\"\nroles = [\"role {role}\"]\nprivileges = [\"select\"]\non = [\"{on}\"]\n"
        )?;
        match number % 2 {
            0 => write!(
                text,
                "[[filter]]\nname = \"f{number}\"\nroles = [\"role {role}\"]\non = [\"{on}\"]\nwhere = \"a = {number}\"\n"
            )?,
            _ => write!(
                text,
                "[[mask]]\nname = \"m{number}\"\nroles = [\"role {role}\"]\non = [\"{on}.b\"]\nkind = \"null\"\n"
            )?,
        }
    }
    Ok(text)
}

/// The 99th percentile.
fn percentile(mut samples: Vec<(f64, bool)>) -> f64 {
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    let place = samples.len() * 99 / 100;
    samples.get(place).map_or(f64::NAN, |(micros, _)| *micros)
}
