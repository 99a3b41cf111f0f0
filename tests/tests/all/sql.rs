//! Every `.slt` file of `tests/sql`, through Flight SQL and again through REST.
//!
//! Who asks stands in the statement's first line, `-- as: viewer`; without it the admin asks. `LAKEGATE_SLT=part`
//! runs only the files whose path contains `part`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use tests::house::{files, root, shown};
use tests::{Answer, Flight, Gateway, Refusal, Rest};

/// The way a statement goes in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Door {
    Flight,
    Rest,
}

/// One door of a gateway, opened anew for each user who first asks.
struct Caller {
    gateway: Arc<Gateway>,
    door: Door,
    flights: HashMap<String, Flight>,
    rests: HashMap<String, Rest>,
}

impl Caller {
    fn new(gateway: Arc<Gateway>, door: Door) -> Self {
        Self {
            gateway,
            door,
            flights: HashMap::new(),
            rests: HashMap::new(),
        }
    }

    async fn ask(&mut self, user: &str, sql: &str) -> Result<Answer, Refusal> {
        match self.door {
            Door::Flight => {
                if !self.flights.contains_key(user) {
                    self.flights
                        .insert(user.to_owned(), self.gateway.flight(user).await?);
                }
                self.flights.get_mut(user).expect("just opened").query(sql).await
            }
            Door::Rest => {
                let rest = self
                    .rests
                    .entry(user.to_owned())
                    .or_insert_with(|| self.gateway.rest(user));
                rest.query(sql).await
            }
        }
    }
}

#[async_trait]
impl AsyncDB for Caller {
    type Error = Refusal;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refusal> {
        let user = sql
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("-- as:"))
            .map_or("admin", str::trim);
        let asked = tokio::time::timeout(Duration::from_secs(120), self.ask(user, sql)).await;
        let answer = asked.map_err(|_| Refusal {
            code: "client".to_owned(),
            message: "no answer within two minutes".to_owned(),
        })??;
        let types = vec![DefaultColumnType::Any; answer.schema.fields().len()];
        Ok(DBOutput::Rows {
            types,
            rows: answer.rows(),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "lakegate"
    }
}

async fn all_files_through(door: Door) {
    let wanted = std::env::var("LAKEGATE_SLT").unwrap_or_default();
    let gateway = Gateway::shared();
    let mut failures = Vec::new();
    let mut ran = 0;
    for path in files(&root().join("tests").join("sql"), "slt") {
        if !shown(&path).contains(&wanted) {
            continue;
        }
        ran += 1;
        let mut runner = Runner::new(|| {
            let caller = Caller::new(Arc::clone(&gateway), door);
            async { Ok(caller) }
        });
        if let Err(error) = runner.run_file_async(&path).await {
            failures.push(format!("{}: {}", shown(&path), error.display(false)));
        }
    }
    assert!(
        failures.is_empty(),
        "through {door:?}:\n{}",
        failures.join("\n\n")
    );
    assert!(ran >= 8 || !wanted.is_empty(), "only {ran} files found");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_answers_as_written_through_flight_sql() {
    all_files_through(Door::Flight).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_answers_as_written_through_rest() {
    all_files_through(Door::Rest).await;
}
