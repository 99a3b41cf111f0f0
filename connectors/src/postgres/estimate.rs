//! What the server expects of a statement before it runs.

use super::catalog::answering;
use super::exec::Remote;
use super::failure::Subject;
use super::sql::Sql;
use crate::Result;
use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;

/// A guess by the server's own statistics; never exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Rows.
    pub rows: u64,
    /// Bytes of a row at the server.
    pub width: u64,
    /// The server's cost, in its own unit.
    pub cost: f64,
}

impl Remote {
    /// What the server expects of `sql`, which it plans and does not run.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when it does not answer, [`crate::Error::Refused`] when it cannot plan it.
    pub async fn estimate(&self, sql: &Sql) -> Result<Estimate> {
        let pool = self.0.clone();
        let text = format!("EXPLAIN (FORMAT JSON) {}", sql.inlined());
        let task = self.0.spawn(async move {
            let lease = answering(&pool).await?;
            let answers = lease.client()?.simple_query(&text).await;
            let answers = answers.map_err(|error| pool.origin().failure(&Subject::default(), error))?;
            lease.release();
            read(&answers).ok_or_else(|| pool.origin().unavailable("the server explained nothing"))
        });
        task.done().await
    }
}

fn read(answers: &[SimpleQueryMessage]) -> Option<Estimate> {
    let text = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    let plans: Value = serde_json::from_str(text?).ok()?;
    let plan = plans.get(0)?.get("Plan")?;
    let number = |key: &str| plan.get(key).and_then(Value::as_f64);
    Some(Estimate {
        // Never negative, and far below what a float counts exactly.
        rows: number("Plan Rows")?.max(0.0) as u64,
        width: number("Plan Width")?.max(0.0) as u64,
        cost: number("Total Cost")?,
    })
}
