//! Random queries over the table and over its model.

use super::{Case, Cell, Column, Kind, Row};
use crate::Version;
use crate::iceberg::fixture::{printed, query, register};
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of a model as a plain table.
fn plain(columns: &[Column], rows: &BTreeMap<i64, Row>) -> MemTable {
    let fields = columns
        .iter()
        .map(|column| Field::new(&column.name, column.kind.arrow(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let number = |cell: &Cell| match cell {
        Cell::Number(number) => Some(*number),
        _ => None,
    };
    let arrays = columns.iter().map(|column| -> ArrayRef {
        let cells: Vec<Cell> = rows.values().map(|row| column.of(row)).collect();
        match column.kind {
            Kind::Int => {
                let ints = cells.iter().map(|cell| number(cell).map(|number| number as i32));
                Arc::new(ints.collect::<Int32Array>())
            }
            Kind::Long => Arc::new(cells.iter().map(number).collect::<Int64Array>()),
            Kind::Text => {
                let texts = cells.iter().map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                Arc::new(texts.collect::<StringArray>())
            }
        }
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap();
    MemTable::try_new(schema, vec![vec![batch]]).unwrap()
}

impl Case {
    async fn session(
        &mut self,
        at: Option<&Version>,
        columns: &[Column],
        rows: &BTreeMap<i64, Row>,
    ) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(1 + self.dice.below(3) as usize);
        config.options_mut().execution.parquet.pushdown_filters = self.dice.one_in(2);
        let context = SessionContext::new_with_config(config);
        register(&context, "t", &self.lake.table("t", at).await);
        context
            .register_table("plain", Arc::new(plain(columns, rows)))
            .unwrap();
        context
    }

    fn predicate(&mut self, columns: &[Column]) -> String {
        let mut one = || {
            let column = self.dice.pick(columns).clone();
            let op = *self.dice.pick(&["=", "<>", "<", "<=", ">", ">="]);
            let (a, b) = (
                self.dice.cell(column.kind).sql(),
                self.dice.cell(column.kind).sql(),
            );
            let name = &column.name;
            match self.dice.below(6) {
                0 => format!("{name} IS NULL"),
                1 => format!("{name} IS NOT NULL"),
                2 => format!("{name} IN ({a}, {b})"),
                3 if column.kind == Kind::Text => format!("{name} LIKE 's1%'"),
                _ => format!("{name} {op} {a}"),
            }
        };
        let (left, right) = (one(), one());
        match self.dice.below(5) {
            0 => "true".to_owned(),
            1 => format!("({left}) AND ({right})"),
            2 => format!("({left}) OR ({right})"),
            3 => format!("NOT ({left})"),
            _ => left,
        }
    }

    async fn compare(&self, context: &SessionContext, sql: &str) {
        let mut answers = Vec::new();
        for table in ["t", "plain"] {
            let rows = match query(context, &sql.replace("{}", table)).await {
                Ok(frame) => frame.collect().await,
                Err(error) => Err(error),
            };
            match rows {
                Ok(rows) => answers.push(printed(&rows)),
                Err(error) => panic!("seed {}: {sql}: {error}\n{}", self.seed, self.story.join("\n")),
            }
        }
        assert_eq!(
            answers[0],
            answers[1],
            "seed {}: {sql}\n{}",
            self.seed,
            self.story.join("\n")
        );
    }

    async fn queries(&mut self, context: &SessionContext, columns: &[Column], rows: usize) {
        let predicate = self.predicate(columns);
        let all: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let some = all[self.dice.below(all.len() as u64) as usize];
        let (list, order) = (all.join(", "), "ORDER BY rid");
        self.compare(
            context,
            &format!("SELECT {list} FROM {{}} WHERE {predicate} {order}"),
        )
        .await;
        let sums = format!("SELECT count(*), count({some}), min({some}), max({some}) FROM {{}}");
        self.compare(context, &format!("{sums} WHERE {predicate}")).await;
        self.compare(context, &sums).await;
        let groups =
            format!("SELECT {some}, count(*) FROM {{}} WHERE {predicate} GROUP BY {some} ORDER BY {some}");
        self.compare(context, &groups).await;
        let limit = self.dice.below(rows as u64 + 3);
        let top =
            format!("SELECT rid, {some} AS x FROM {{}} WHERE {predicate} ORDER BY x DESC, rid LIMIT {limit}");
        self.compare(context, &top).await;
        // Which rows a limit takes is open; that they are as many, and rows that meet the predicate, is not.
        self.compare(
            context,
            &format!("SELECT count(*) FROM (SELECT {some} FROM {{}} WHERE {predicate} LIMIT {limit})"),
        )
        .await;
        let strays = format!(
            "SELECT count(*) FROM (SELECT rid FROM {{}} WHERE {predicate} LIMIT {limit}) AS taken
             WHERE rid NOT IN (SELECT rid FROM plain WHERE {predicate})"
        );
        self.compare(context, &strays).await;
    }

    /// Asks about the table as it is now.
    pub(super) async fn ask(&mut self, times: usize) {
        let (columns, rows) = (self.columns.clone(), self.rows.clone());
        let context = self.session(None, &columns, &rows).await;
        for _ in 0..times {
            self.queries(&context, &columns, rows.len()).await;
        }
    }

    /// Asks about the table as it was.
    pub(super) async fn ask_the_past(&mut self) {
        for (version, columns, rows) in std::mem::take(&mut self.past) {
            self.story.push(format!("back to {version}"));
            let context = self.session(Some(&version), &columns, &rows).await;
            self.queries(&context, &columns, rows.len()).await;
        }
    }
}
