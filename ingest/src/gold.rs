//! Gold: the models of a pipeline, computed from silver and put in the place of what was there.
//!
//! A model with a day column is computed anew for the days that silver has changed since the model's position; one without is computed anew as
//! a whole. Its rows are checked before they are published; a model that fails leaves the old snapshot where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit};
use connectors::{Connector, Version};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::ident;
use iceberg::spec::{DataFile, Literal, PrimitiveLiteral, PrimitiveType, Struct, Transform};
use iceberg::table::Table;

use crate::append::{Appender, remove};
use crate::commit::facts::{self, Advance, PIPELINE_KEY};
use crate::commit::snapshot::added_files;
use crate::commit::{Change, Commit, Kernel, Removal, Token, failed};
use crate::contract::{Column, Contract};
use crate::error::{Error, Result};
use crate::fault;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::pipeline::document::{Kind, Model};
use crate::read;
use crate::silver::quality::{Verdict, score};
use crate::transform::{self, Conditions, Given};
use crate::zone::Zone;

/// Days from which a model is computed anew as a whole.
const DAYS_MAX: usize = 366;

/// The gold side of one pipeline.
#[derive(Debug)]
pub struct Gold {
    pipeline: Pipeline,
    kernel: Kernel,
    appender: Appender,
    source: Arc<dyn Connector>,
    metrics: Metrics,
    epochs: tokio::sync::Mutex<BTreeMap<String, u64>>,
}

/// What a model was computed for.
enum Part {
    /// Everything.
    All,
    /// Some days since 1970.
    Days(BTreeSet<i32>),
}

impl Gold {
    /// The models of `pipeline`, which read the lake through `source`.
    pub fn new(
        pipeline: Pipeline,
        kernel: Kernel,
        appender: Appender,
        source: Arc<dyn Connector>,
        metrics: Metrics,
    ) -> Self {
        Self {
            pipeline,
            kernel,
            appender,
            source,
            metrics,
            epochs: tokio::sync::Mutex::default(),
        }
    }

    /// Makes the tables of a pipeline that has not published anything yet, without rows, so that who asks for them finds them.
    ///
    /// # Errors
    /// The first model that fails.
    pub async fn prepare(&self) -> Result<()> {
        let silver = self.kernel.load(&self.pipeline.silver().ident()).await?;
        if facts::positions(silver.metadata()).is_empty() {
            self.cycle().await?;
        }
        Ok(())
    }

    /// Brings every model to the newest snapshot of silver, in order. Gives how many were published.
    ///
    /// # Errors
    /// The first model that fails; the ones before it are published, the ones after it wait.
    pub async fn cycle(&self) -> Result<usize> {
        let silver = self.kernel.load(&self.pipeline.silver().ident()).await?;
        let Some(to) = silver.metadata().current_snapshot_id() else {
            return Ok(0);
        };
        let mut published = 0;
        for model in &self.pipeline.document().gold {
            published += usize::from(self.model(model, &silver, to).await?);
        }
        Ok(published)
    }

    async fn model(&self, model: &Model, silver: &Table, to: i64) -> Result<bool> {
        let ident = iceberg::TableIdent::new(Zone::Gold.namespace(), model.name.clone());
        let origin = self.pipeline.silver().to_string();
        let positions = match self.kernel.load(&ident).await {
            Ok(table) => facts::positions(table.metadata()),
            Err(Error::Catalog { source, .. }) if source.kind() == iceberg::ErrorKind::TableNotFound => {
                facts::Positions::new()
            }
            Err(error) => return Err(error),
        };
        let recorded = positions.get(&origin).cloned();
        let from = recorded.as_ref().and_then(|text| text.parse::<i64>().ok());
        let Some(part) = self.part(model, silver, from).await? else {
            return Ok(false);
        };
        let (schema, batches) = self.computed(model, &part, to).await?;
        let contract = contract(model, &schema)?;
        let verdicts = judged(model, &batches)?;
        let score = score(&verdicts);
        if score < model.gate {
            return Err(Error::Gate {
                table: contract.to_string(),
                score,
                gate: model.gate,
            });
        }
        let removal = self.removal(model, &part, &batches)?;
        let table = self.appender.ensure(&contract).await?;
        let epoch = self.epoch(&table).await?;
        let table = self.kernel.load(table.identifier()).await?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let files = self.appender.write(&table, &contract, batches).await?;
        fault::point("gold-files-written");
        let token = Token::new(format!("gold/{}/{}/{to}", self.pipeline.name(), model.name));
        let token = token.unwrap_or_else(Token::unique);
        let commit = Commit::new(
            &table,
            epoch,
            token,
            Change::Overwrite {
                remove: removal,
                add: files.clone(),
            },
        )
        .with_fact(PIPELINE_KEY, self.pipeline.name())
        .with_fact("ingest.batch-id", to)
        .with_fact("ingest.derived-from", format!("{origin}@{to}"))
        .with_fact("ingest.pipeline-version", self.pipeline.version())
        .with_fact("ingest.model-rows", rows)
        .with_fact("ingest.score", format!("{score:.6}"))
        .with_fact("ingest.gate", "passed")
        .with_fact(
            "ingest.verdicts",
            serde_json::to_string(&verdicts).unwrap_or_default(),
        )
        .with_advance(Advance {
            source: origin,
            from: recorded,
            to: to.to_string(),
        });
        let started = std::time::Instant::now();
        let committed = self.kernel.commit_known(&commit).await;
        if !committed.as_ref().is_ok_and(|receipt| commit.made(receipt)) {
            remove(&table, &files).await;
        }
        committed?;
        fault::point("gold-committed");
        self.metrics.committed(&contract.to_string(), started.elapsed());
        Ok(true)
    }

    /// The epoch under which this process writes a gold table, claimed once.
    async fn epoch(&self, table: &Table) -> Result<u64> {
        let mut epochs = self.epochs.lock().await;
        let name = table.identifier().to_string();
        if let Some(epoch) = epochs.get(&name) {
            return Ok(*epoch);
        }
        let epoch = self.kernel.claim(table.identifier()).await?;
        epochs.insert(name, epoch);
        Ok(epoch)
    }

    /// What must be computed anew; none when silver has no new rows.
    async fn part(&self, model: &Model, silver: &Table, from: Option<i64>) -> Result<Option<Part>> {
        let Some(from) = from else {
            return Ok(Some(Part::All));
        };
        // A position that silver has forgotten says nothing about what changed.
        let Some(pending) = read::since(silver.metadata(), Some(from)) else {
            return Ok(Some(Part::All));
        };
        let mut files: Vec<DataFile> = Vec::new();
        for snapshot in pending {
            let added = added_files(silver, &snapshot).await;
            files.extend(added.map_err(|error| failed("read", silver.identifier(), error))?);
        }
        if files.is_empty() {
            return Ok(None);
        }
        if model.day.is_none() {
            return Ok(Some(Part::All));
        }
        let days: Option<BTreeSet<i32>> = files.iter().map(|file| day_of(file.partition())).collect();
        Ok(Some(match days {
            Some(days) if days.len() <= DAYS_MAX => Part::Days(days),
            _ => Part::All,
        }))
    }

    async fn computed(&self, model: &Model, part: &Part, to: i64) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let mut given = vec![self.given("silver", self.pipeline.name(), Some(to), part).await?];
        for earlier in &self.pipeline.document().gold {
            if earlier.name == model.name {
                break;
            }
            given.push(self.given("gold", &earlier.name, None, &Part::All).await?);
        }
        let (schema, batches) = transform::query(&model.sql, given).await?;
        settled(model, &schema, batches)
    }

    async fn given(&self, schema: &str, name: &str, at: Option<i64>, part: &Part) -> Result<Given> {
        let version = at.map(|id| Version::new(id.to_string()));
        let found = self.source.table(schema, name, version.as_ref()).await;
        let found = found.map_err(|source| Error::Lake {
            path: format!("{schema}.{name}"),
            source: Box::new(source),
        })?;
        let found = found.ok_or_else(|| Error::Contract {
            table: format!("{schema}.{name}"),
            problem: "it is not there yet".to_owned(),
        })?;
        let only = match part {
            Part::All => None,
            Part::Days(days) => self.within(days),
        };
        Ok(Given {
            schema: schema.to_owned(),
            name: name.to_owned(),
            provider: found.without_views.unwrap_or(found.provider),
            stores: found.object_stores,
            only,
        })
    }

    /// The condition that a row of silver is of one of these days, run by run.
    fn within(&self, days: &BTreeSet<i32>) -> Option<Expr> {
        let partition = self.pipeline.document().silver.partition.as_ref()?;
        let kind = self
            .pipeline
            .document()
            .contract
            .columns
            .iter()
            .find(|column| column.name == partition.column)?
            .kind;
        let bound = |day: i32| match kind {
            Kind::Date => lit(ScalarValue::Date32(Some(day))),
            _ => lit(ScalarValue::TimestampMicrosecond(
                Some(i64::from(day) * crate::silver::window::DAY),
                Some("+00:00".into()),
            )),
        };
        let column = || ident(&partition.column);
        let mut runs: Vec<(i32, i32)> = Vec::new();
        for &day in days {
            match runs.last_mut() {
                Some((_, end)) if *end == day => *end = day + 1,
                _ => runs.push((day, day + 1)),
            }
        }
        runs.into_iter()
            .map(|(start, end)| column().gt_eq(bound(start)).and(column().lt(bound(end))))
            .reduce(Expr::or)
    }

    /// What the new rows stand in the place of.
    fn removal(&self, model: &Model, part: &Part, batches: &[RecordBatch]) -> Result<Removal> {
        let (Part::Days(days), Some(name)) = (part, &model.day) else {
            return Ok(Removal::All);
        };
        for batch in batches {
            let column = batch
                .column_by_name(name)
                .and_then(|column| column.as_primitive_opt::<Date32Type>());
            let stray = column.is_none_or(|column| {
                column
                    .iter()
                    .any(|day| day.is_none_or(|day| !days.contains(&day)))
            });
            if stray {
                return Err(Error::Contract {
                    table: format!("gold.{}", model.name),
                    problem: format!("{name} is not the day of the partition column of silver"),
                });
            }
        }
        let partition = |day: &i32| Struct::from_iter([Some(Literal::date(*day))]);
        Ok(Removal::Partitions(days.iter().map(partition).collect()))
    }
}

/// The day of a partition of silver by day.
fn day_of(values: &Struct) -> Option<i32> {
    match values.fields() {
        [Some(Literal::Primitive(PrimitiveLiteral::Int(day)))] => Some(*day),
        _ => None,
    }
}

/// The rows in types that Iceberg has, all columns nullable.
fn settled(
    model: &Model,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let table = format!("gold.{}", model.name);
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), settled_type(field.data_type()), true))
        .collect();
    let settled = Arc::new(Schema::new(fields));
    let mut result = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .zip(settled.fields())
            .map(|(column, field)| arrow::compute::cast(column, field.data_type()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| Error::arrow(&table, error))?;
        let batch = RecordBatch::try_new(Arc::clone(&settled), columns)
            .map_err(|error| Error::arrow(&table, error))?;
        result.push(batch);
    }
    Ok((settled, result))
}

fn settled_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "+00:00".into()))
        }
        DataType::Dictionary(_, values) => settled_type(values),
        other => other.clone(),
    }
}

/// The contract of a model's table, from the columns of its query.
fn contract(model: &Model, schema: &SchemaRef) -> Result<Contract> {
    let unusable = |problem: String| Error::Contract {
        table: format!("gold.{}", model.name),
        problem,
    };
    let mut columns = Vec::new();
    for field in schema.fields() {
        let kind = match field.data_type() {
            DataType::Boolean => PrimitiveType::Boolean,
            DataType::Int32 => PrimitiveType::Int,
            DataType::Int64 => PrimitiveType::Long,
            DataType::Float64 => PrimitiveType::Double,
            DataType::Utf8 => PrimitiveType::String,
            DataType::Date32 => PrimitiveType::Date,
            DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamptz,
            DataType::Timestamp(_, None) => PrimitiveType::Timestamp,
            DataType::Decimal128(precision, scale) if *scale >= 0 => PrimitiveType::Decimal {
                precision: u32::from(*precision),
                scale: scale.unsigned_abs().into(),
            },
            other => {
                return Err(unusable(format!(
                    "the column {} has the type {other}",
                    field.name()
                )));
            }
        };
        columns.push(Column::optional(field.name(), kind, ""));
    }
    let contract = Contract::new(Zone::Gold, &model.name, &model.description, columns)?;
    let Some(day) = &model.day else {
        return Ok(contract);
    };
    match schema.field_with_name(day).map(Field::data_type) {
        Ok(DataType::Date32) => contract.with_partition(day, Transform::Identity),
        _ => Err(unusable(format!("{day} is no column of type date"))),
    }
}

/// What the checks of a model find in its rows.
fn judged(model: &Model, batches: &[RecordBatch]) -> Result<Vec<Verdict>> {
    let texts: Vec<&str> = model.checks.iter().map(String::as_str).collect();
    let mut verdicts: Vec<Verdict> = texts
        .iter()
        .map(|text| Verdict {
            rule: (*text).to_owned(),
            evaluated: 0,
            passed: 0,
            weight: 1.0,
            measured: None,
        })
        .collect();
    for batch in batches {
        let found = Conditions::of(batch.schema_ref(), &texts)?.evaluate(batch)?;
        for (verdict, found) in verdicts.iter_mut().zip(found) {
            verdict.evaluated += found.len() as u64;
            let failed = (0..found.len())
                .filter(|row| found.is_valid(*row) && !found.value(*row))
                .count();
            verdict.passed += (found.len() - failed) as u64;
        }
    }
    Ok(verdicts)
}
