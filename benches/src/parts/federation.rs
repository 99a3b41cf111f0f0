//! (e) One SQL over Postgres and the lake: exports out of Postgres, TPC-H with four tables there, what comes over the wire,
//! and a join of a hundred keys. Peers are the server's own client, the ADBC driver, and DuckDB with its scanner.

mod names;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Found, Run};
use crate::answer::Answer;
use crate::engines::{Asked, Engine, Remote};
use crate::flight::{Digested as _, Login};
use crate::measure::{Series, Subject, rounds};
use crate::noise::Watch;
use crate::peers::gateway::Gateway;
use crate::peers::postgres::{Postgres, Reader};
use crate::python::Python;
use crate::table::{Bound, Of, Row, Rows};

/// The tables that lie in Postgres in the split of the federated queries.
const REMOTE: [&str; 4] = ["customer", "nation", "region", "supplier"];
/// The list of the peers of this part.
const REQUIREMENTS: &str = "requirements-federation.txt";
/// Statements of one source that it can do whole.
const WHOLE: [(&str, &str); 2] = [
    (
        "group lineitem",
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), avg(l_extendedprice), count(*) FROM {p}lineitem \
         WHERE l_shipdate <= DATE '1998-09-02' GROUP BY l_returnflag, l_linestatus",
    ),
    (
        "join and group orders",
        "SELECT c_mktsegment, count(*), sum(o_totalprice) FROM {p}customer JOIN {p}orders ON c_custkey = o_custkey \
         GROUP BY c_mktsegment",
    ),
];
/// A hundred keys of the lake, looked up in Postgres by an index.
const LOOKUP: &str = "SELECT o_orderkey, l_linenumber, l_extendedprice FROM {o}orders JOIN {l}lineitem ON o_orderkey = l_orderkey \
                      WHERE o_orderkey < 400";

/// Runs the part.
///
/// # Errors
/// When the server, the gateway or a peer cannot be had.
pub async fn run(run: &Run) -> Result<Found> {
    let python = Python::prepare_list(&run.place, REQUIREMENTS).await?;
    let server = Postgres::start(&run.place).await?;
    let gateway = Gateway::start_with(&run.place, &["--postgres", &server.url]).await?;
    let mut peers = Peers {
        remote: Remote {
            server: gateway.id()?,
            client: gateway.connect().await?,
        },
        all_there: Reader::duckdb(&run.place, &python, &server, "*")?,
        split: Reader::duckdb(&run.place, &python, &server, &REMOTE.join(","))?,
        looked_up: Reader::duckdb(&run.place, &python, &server, "lineitem")?,
        adbc: Reader::adbc(&run.place, &python, &server)?,
    };
    let watch = Watch::start()?;
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    export(run, &gateway, &server, &mut peers, (&mut rows, &mut all)).await?;
    whole(run, &server, &mut peers, (&mut rows, &mut all)).await?;
    queries(run, &mut peers, (&mut rows, &mut all)).await?;
    lookup(run, &mut peers, (&mut rows, &mut all)).await?;
    rows.push(wire(&gateway.rest, &gateway.login).await?);
    let noise = watch.end()?;
    for reader in [peers.all_there, peers.split, peers.looked_up, peers.adbc] {
        reader.stop().await?;
    }
    gateway.stop().await?;
    server.stop().await?;
    Ok(Found {
        rows,
        samples: json!(all),
        notes: vec![
            "Postgres runs on the same machine, with 512 MB of shared buffers and fsync off; every side reads the same server."
                .to_owned(),
            "psql writes to /dev/null and decodes nothing; ADBC and DuckDB make Arrow; the gateway makes Arrow and sends it on."
                .to_owned(),
        ],
        noise,
    })
}

/// Everybody who is asked.
struct Peers {
    remote: Remote,
    all_there: Reader,
    split: Reader,
    looked_up: Reader,
    adbc: Reader,
}

type Gathered<'a> = (&'a mut Vec<Row>, &'a mut Vec<Series>);

/// A whole table out of Postgres.
async fn export(
    run: &Run,
    gateway: &Gateway,
    server: &Postgres,
    peers: &mut Peers,
    (rows, all): Gathered<'_>,
) -> Result<()> {
    let sql = "SELECT * FROM lineitem";
    let mut ours = gateway
        .export("gateway, Flight SQL", "SELECT * FROM pg.public.lineitem")
        .await?;
    let mut lake = gateway.export("lake", "SELECT * FROM lake.gold.lineitem").await?;
    let (found, expected) = (ours.digest().await?, lake.digest().await?);
    let same = match found == expected {
        true => Rows::Same(found.rows),
        false => Rows::Different(format!(
            "{} rows there, {} in the lake, or other values",
            found.rows, expected.rows
        )),
    };
    eprintln!("bench: (e) export");
    let mut subjects: Vec<Box<dyn Subject + '_>> = vec![
        Box::new(ours),
        Box::new(server.copy(sql)),
        Box::new(Asked {
            engine: &mut peers.adbc,
            sql,
        }),
        Box::new(Asked {
            engine: &mut peers.all_there,
            sql,
        }),
    ];
    let series = rounds(&mut subjects, run.rounds).await;
    drop(subjects);
    for peer in series.iter().skip(1) {
        let mut row = Row::new(
            'e',
            "export lineitem out of Postgres",
            "rows/s",
            peer.name.clone(),
        );
        (row.ours, row.peer) = (series[0].rows_per_second(), peer.rows_per_second());
        (row.ours_cpu, row.peer_cpu) = (series[0].cpu(), peer.cpu());
        row.failure = series[0].failure.clone().or_else(|| peer.failure.clone());
        row.rows = same.clone();
        rows.push(row);
    }
    all.extend(named("export", series));
    Ok(())
}

/// Statements that the server does whole.
async fn whole(run: &Run, server: &Postgres, peers: &mut Peers, (rows, all): Gathered<'_>) -> Result<()> {
    for (name, text) in WHOLE {
        let (ours, theirs) = (text.replace("{p}", "pg.public."), text.replace("{p}", ""));
        let same = compared(&mut peers.remote, &ours, &mut peers.all_there, &theirs).await;
        eprintln!("bench: (e) {name}");
        let mut subjects: Vec<Box<dyn Subject + '_>> = vec![
            Box::new(Asked {
                engine: &mut peers.remote,
                sql: &ours,
            }),
            Box::new(server.copy(&theirs)),
            Box::new(Asked {
                engine: &mut peers.all_there,
                sql: &theirs,
            }),
        ];
        let series = rounds(&mut subjects, run.rounds).await;
        drop(subjects);
        for (place, peer) in series.iter().enumerate().skip(1) {
            let row = timed(&format!("one source: {name}"), &series[0], peer, same.clone());
            rows.push(match place {
                1 => row.with_goal(7, Of::Ratio, Bound::AtMost(1.15)),
                _ => row,
            });
        }
        all.extend(named(name, series));
    }
    Ok(())
}

/// The 22 TPC-H queries with four tables in Postgres.
async fn queries(run: &Run, peers: &mut Peers, (rows, all): Gathered<'_>) -> Result<()> {
    let mut lines = Vec::new();
    for number in 1..=22 {
        let theirs = run.place.query(number)?;
        let ours = names::placed(&theirs, &REMOTE, "pg.public.");
        let same = compared(&mut peers.remote, &ours, &mut peers.split, &theirs).await;
        eprintln!("bench: (e) Q{number}");
        let mut subjects: Vec<Box<dyn Subject + '_>> = vec![
            Box::new(Asked {
                engine: &mut peers.remote,
                sql: &ours,
            }),
            Box::new(Asked {
                engine: &mut peers.split,
                sql: &theirs,
            }),
        ];
        let series = rounds(&mut subjects, run.rounds).await;
        drop(subjects);
        lines.push(timed(
            &format!("federated TPC-H Q{number}"),
            &series[0],
            &series[1],
            same,
        ));
        all.extend(named(&format!("Q{number}"), series));
    }
    let mut mean = Row::new(
        'e',
        "federated TPC-H, geometric mean of the ratios",
        "x",
        "DuckDB Postgres scanner",
    );
    let logarithms: Option<Vec<f64>> = lines.iter().map(|line| line.ratio().map(f64::ln)).collect();
    mean.ours = logarithms.map(|all| (all.iter().sum::<f64>() / all.len().max(1) as f64).exp());
    mean.peer = Some(1.0);
    mean.failure = lines.iter().find_map(|line| line.failure.clone());
    mean.rows = match lines.iter().find(|line| line.is_wrong()) {
        Some(wrong) => wrong.rows.clone(),
        None => Rows::Same(lines.len() as u64),
    };
    // At least 1.2 times as fast.
    rows.push(mean.with_goal(8, Of::Ratio, Bound::AtMost(0.833)));
    rows.extend(lines);
    Ok(())
}

/// A hundred keys of the lake against an index of the server.
async fn lookup(run: &Run, peers: &mut Peers, (rows, all): Gathered<'_>) -> Result<()> {
    let ours = LOOKUP.replace("{o}", "lake.gold.").replace("{l}", "pg.public.");
    let theirs = LOOKUP.replace("{o}", "").replace("{l}", "");
    let same = compared(&mut peers.remote, &ours, &mut peers.looked_up, &theirs).await;
    let mut subjects: Vec<Box<dyn Subject + '_>> = vec![
        Box::new(Asked {
            engine: &mut peers.remote,
            sql: &ours,
        }),
        Box::new(Asked {
            engine: &mut peers.looked_up,
            sql: &theirs,
        }),
    ];
    let series = rounds(&mut subjects, run.rounds).await;
    drop(subjects);
    rows.push(timed(
        "join of 100 keys with lineitem in Postgres",
        &series[0],
        &series[1],
        same,
    ));
    all.extend(named("lookup", series));
    Ok(())
}

/// The bytes that the same join takes from Postgres, beside those of the rows that match and no others.
async fn wire(rest: &str, login: &Login) -> Result<Row> {
    let joined = LOOKUP.replace("{o}", "lake.gold.").replace("{l}", "pg.public.");
    let needed =
        "SELECT l_orderkey, l_linenumber, l_extendedprice FROM pg.public.lineitem WHERE l_orderkey < 400";
    let mut row = Row::new(
        'e',
        "bytes from Postgres for that join",
        "bytes",
        "the rows that match",
    );
    let ((ours, rows), (least, same)) = (
        read(rest, login, &joined).await?,
        read(rest, login, needed).await?,
    );
    (row.ours, row.peer) = (Some(ours as f64), Some(least as f64));
    row.rows = match rows == same {
        true => Rows::Same(rows),
        false => Rows::Different(format!("{rows} rows and {same}")),
    };
    Ok(row)
}

/// The bytes that a statement took from Postgres, and its rows, as its report says.
async fn read(rest: &str, login: &Login, sql: &str) -> Result<(u64, u64)> {
    let response = reqwest::Client::new()
        .post(format!("{rest}/v1/sql"))
        .basic_auth(&login.user, Some(&login.password))
        .json(&json!({ "sql": sql }))
        .send()
        .await?
        .error_for_status()?;
    let answer: Value = response.json().await?;
    let sources = answer["report"]["sources"].as_array().context("a report")?;
    let pg = sources
        .iter()
        .find(|source| source["source"] == "pg")
        .context("the source")?;
    let number = |value: &Value| value.as_u64().context("a number");
    Ok((number(&pg["bytes"])?, number(&answer["row_count"])?))
}

async fn compared(ours: &mut dyn Engine, sql: &str, theirs: &mut dyn Engine, other: &str) -> Rows {
    let answers = async {
        let mine = Answer::of(&ours.answer(sql).await?)?;
        anyhow::Ok((mine, Answer::of(&theirs.answer(other).await?)?))
    };
    match answers.await {
        Err(error) => Rows::Different(format!("{error:#}")),
        Ok((mine, other)) => match mine.difference(&other) {
            Some(difference) => Rows::Different(difference),
            None if mine.len() == 0 => Rows::Vacuous,
            None => Rows::Same(mine.len() as u64),
        },
    }
}

fn timed(name: &str, ours: &Series, peer: &Series, same: Rows) -> Row {
    let mut row = Row::new('e', name, "s", peer.name.clone());
    (row.ours, row.peer) = (ours.wall(), peer.wall());
    (row.ours_cpu, row.peer_cpu) = (ours.cpu(), peer.cpu());
    row.failure = ours.failure.clone().or_else(|| peer.failure.clone());
    row.rows = same;
    row
}

fn named(what: &str, series: Vec<Series>) -> Vec<Series> {
    let one = |series: Series| Series {
        name: format!("{what} {}", series.name),
        ..series
    };
    series.into_iter().map(one).collect()
}
