//! The one door. Every protocol and every statement form comes through [`Engine::describe`], [`Engine::run`] or a
//! listing, and each of them goes parse, resolve, policy, plan in this file and in this order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use connectors::Registry;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::{StreamExt, stream};
use policies::{PolicyStore, Principal};

use crate::cache::{PlanCache, PlanKey, Prepared};
use crate::catalog::{Catalog, Pattern, Table, TableFilter};
use crate::config::Config;
use crate::enforce::enforce;
use crate::error::{Error, Result};
use crate::execute::{self, Bounds, Gauge, Run, Running};
use crate::parse::{Body, Parsed, StatementKind, literal, parse, trusted};
use crate::request::{Described, Partition, Pins, Query, Request, Session};
use crate::resolve::{Resolution, full_name, resolve};
use crate::runtime::CpuRuntime;
use crate::session::{Sessions, check_time_zone};
use crate::{explain, origins, parameters, physical};

/// Plans and runs statements over all sources. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    runtime: CpuRuntime,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    catalog: Catalog,
    sessions: Sessions,
    plans: PlanCache,
    running: Gauge,
}

/// A statement ready to be optimised, with the session that it was read in.
struct Ready {
    prepared: Arc<Prepared>,
    resolution: Resolution,
}

impl Engine {
    /// Opens the sources of `config`. The calling runtime is the one that waits for files and sockets.
    ///
    /// # Errors
    /// `Source` naming the source that cannot be opened.
    pub async fn open(config: &Config, policies: Arc<dyn PolicyStore>) -> Result<Self> {
        let io = tokio::runtime::Handle::current();
        let registry = Registry::open(&config.sources, io).await?;
        let inner = Inner {
            catalog: Catalog::new(registry, policies),
            sessions: Sessions::open(config)?,
            plans: PlanCache::new(config.plan_cache_entries),
            running: Gauge::default(),
            config: config.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            runtime: CpuRuntime::start(config)?,
        })
    }

    /// What a statement is, without running it: columns, parameters, versions, parts. With parameters in `query`, the
    /// columns are those of the bound statement.
    ///
    /// # Errors
    /// Whatever is wrong with the statement.
    pub async fn describe(&self, request: &Request, query: &Query) -> Result<Described> {
        let (inner, request, query) = (Arc::clone(&self.inner), request.clone(), query.clone());
        let limit = self.inner.config.query_timeout;
        self.runtime
            .run(async move { in_time(&request, limit, Box::pin(inner.describe(&request, &query))).await })
            .await
    }

    /// Runs a statement. Rows come as they are made; dropping the answer stops the work.
    ///
    /// # Errors
    /// Whatever is wrong with the statement; failures of the data come in the stream.
    pub async fn run(&self, request: &Request, query: &Query) -> Result<Running> {
        let (engine, request, query) = (self.clone(), request.clone(), query.clone());
        let limit = self.inner.config.query_timeout;
        self.runtime
            .run(async move { in_time(&request, limit, Box::pin(engine.run_here(&request, &query))).await })
            .await
    }

    /// Catalogs that the principal may know, sorted.
    ///
    /// # Errors
    /// `Source` when a source does not answer.
    pub async fn catalogs(&self, principal: &Principal) -> Result<Vec<String>> {
        let (inner, principal) = (Arc::clone(&self.inner), principal.clone());
        self.runtime
            .run(async move { inner.catalog.catalogs(&principal).await })
            .await
    }

    /// Pairs of catalog and schema that the principal may know, sorted.
    ///
    /// # Errors
    /// `Source` when a source does not answer.
    pub async fn schemas(
        &self,
        principal: &Principal,
        catalog: Option<&str>,
        schema: Option<&Pattern>,
    ) -> Result<Vec<(String, String)>> {
        let (inner, principal) = (Arc::clone(&self.inner), principal.clone());
        let (catalog, schema) = (catalog.map(str::to_owned), schema.cloned());
        let work = async move {
            inner
                .catalog
                .schemas(&principal, catalog.as_deref(), schema.as_ref())
                .await
        };
        self.runtime.run(work).await
    }

    /// Tables that the principal may know, sorted.
    ///
    /// # Errors
    /// `Source` when a source does not answer.
    pub async fn tables(&self, principal: &Principal, filter: &TableFilter) -> Result<Vec<Table>> {
        let (inner, principal, filter) = (Arc::clone(&self.inner), principal.clone(), filter.clone());
        self.runtime
            .run(async move { inner.catalog.tables(&principal, &filter).await })
            .await
    }

    /// Whether each source answers now.
    pub async fn check(&self) -> Vec<(String, Result<()>)> {
        let checks = self.inner.catalog.sources().map(|(name, source)| async move {
            (name.to_owned(), source.check().await.map_err(Error::from))
        });
        futures::future::join_all(checks).await
    }

    /// Queries that run now.
    pub fn running(&self) -> usize {
        self.inner.running.value()
    }

    /// The session after `assignments`.
    ///
    /// # Errors
    /// `Setting` for an unknown key or a value it cannot take; a catalog or schema that the principal may not know is
    /// such a value.
    pub async fn set(
        &self,
        principal: &Principal,
        session: &Session,
        assignments: &[(String, String)],
    ) -> Result<Session> {
        let mut changed = session.clone();
        for (key, value) in assignments {
            match crate::parse::known_setting(key)?.as_str() {
                "catalog" => changed.catalog.clone_from(value),
                "schema" => changed.schema.clone_from(value),
                _ => {
                    check_time_zone(value)?;
                    changed.time_zone.clone_from(value);
                }
            }
        }
        let sets = |wanted: &str| {
            assignments
                .iter()
                .any(|(key, _)| key.eq_ignore_ascii_case(wanted))
        };
        if sets("catalog") || sets("schema") {
            let known = self.schemas(principal, Some(&changed.catalog), None).await?;
            if known.is_empty() {
                let problem = format!("'{}' is not a catalog", changed.catalog);
                return Err(Error::Setting {
                    key: "catalog".to_owned(),
                    problem,
                });
            }
            if sets("schema") && !known.iter().any(|(_, schema)| *schema == changed.schema) {
                let problem = format!(
                    "'{}' is not a schema of catalog '{}'",
                    changed.schema, changed.catalog
                );
                return Err(Error::Setting {
                    key: "schema".to_owned(),
                    problem,
                });
            }
        }
        Ok(changed)
    }

    async fn run_here(&self, request: &Request, query: &Query) -> Result<Running> {
        let inner = Arc::clone(&self.inner);
        let Ready { prepared, resolution } = inner.prepare(request, query).await?;
        let bounds = Bounds {
            deadline: deadline(request, inner.config.query_timeout),
            batches_max: inner.config.stream_batches_max,
        };
        let rows = check_parameters(&prepared, query, &inner.config)?;
        let columns = (inner.schema(&prepared, query)?, prepared.origins.clone());
        let change = match prepared.kind {
            StatementKind::Explain => explain::redacted,
            StatementKind::Query | StatementKind::Set(_) => execute::unchanged,
        };
        if rows == 0 {
            let nothing = stream::empty();
            return Ok(execute::start(
                &self.runtime,
                &inner.running,
                columns,
                nothing,
                bounds,
                change,
            ));
        }
        let first = inner.run(request, query, &prepared, &resolution, 0).await?;
        let (request, query) = (request.clone(), query.clone());
        let running = inner.running.clone();
        let rest = stream::iter(1..rows).then(move |row| {
            let (inner, request, query) = (Arc::clone(&inner), request.clone(), query.clone());
            let prepared = Arc::clone(&prepared);
            async move {
                // The pins are those of the first row: one call reads one state of the lake.
                let resolved = inner.prepare(&request, &query).await?.resolution;
                inner.run(&request, &query, &prepared, &resolved, row).await
            }
        });
        let runs = stream::once(async move { Ok(first) }).chain(rest);
        Ok(execute::start(
            &self.runtime,
            &running,
            columns,
            runs,
            bounds,
            change,
        ))
    }
}

/// When a query must be over.
fn deadline(request: &Request, limit: Duration) -> Instant {
    let latest = Instant::now() + limit;
    request.deadline.map_or(latest, |asked| asked.min(latest))
}

/// Planning within the deadline: a catalog that does not answer must not hold a caller for ever.
async fn in_time<T>(request: &Request, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let deadline = tokio::time::Instant::from_std(deadline(request, limit));
    tokio::time::timeout_at(deadline, work)
        .await
        .unwrap_or(Err(Error::Timeout))
}

/// How many runs the parameters ask for.
fn check_parameters(prepared: &Prepared, query: &Query, config: &Config) -> Result<usize> {
    match &query.parameters {
        None if prepared.parameters.is_empty() => Ok(1),
        None => Err(Error::Parameter {
            position: 1,
            problem: "has no value".to_owned(),
        }),
        Some(batch) if batch.num_rows() > config.parameter_rows_max => Err(Error::TooMuch {
            what: "rows of parameters",
            limit: config.parameter_rows_max.to_string(),
        }),
        Some(batch) => Ok(batch.num_rows()),
    }
}

impl Inner {
    async fn describe(&self, request: &Request, query: &Query) -> Result<Described> {
        let parsed = parse(&query.sql, &self.config)?;
        if let StatementKind::Set(_) = &parsed.kind {
            return Ok(Described::without_rows(parsed.kind));
        }
        let Ready { prepared, resolution } = self.prepare_parsed(request, query, parsed).await?;
        let schema = self.schema(&prepared, query)?;
        let is_one_run = query
            .parameters
            .as_ref()
            .map_or(prepared.parameters.is_empty(), |batch| batch.num_rows() == 1);
        let partitions =
            match is_one_run && query.rows_max.is_none() && physical::can_be_cut(prepared.guard.plan()) {
                true => self.partitions(request, query, &prepared, &resolution).await?,
                false => Vec::new(),
            };
        Ok(Described {
            kind: prepared.kind.clone(),
            schema,
            parameters: prepared.parameters.clone(),
            pins: resolution.pins,
            partitions,
            origins: prepared.origins.clone(),
        })
    }

    /// The parts of a result that can be cut; none when it is too small to be worth it.
    async fn partitions(
        &self,
        request: &Request,
        query: &Query,
        prepared: &Prepared,
        resolution: &Resolution,
    ) -> Result<Vec<Partition>> {
        let guard = self.bound(prepared, query, 0)?;
        let state = self.sessions.state(&request.session, resolution, None)?;
        let Some(target) = physical::wanted_partitions(&physical::plan(&guard, &state).await?, &self.config)
        else {
            return Ok(Vec::new());
        };
        let state = self.sessions.state(&request.session, resolution, Some(target))?;
        Ok(physical::partitions(
            &physical::plan(&guard, &state).await?,
            target,
        ))
    }

    /// Parse, resolve, policy.
    async fn prepare(&self, request: &Request, query: &Query) -> Result<Ready> {
        let parsed = parse(&query.sql, &self.config)?;
        self.prepare_parsed(request, query, parsed).await
    }

    async fn prepare_parsed(&self, request: &Request, query: &Query, parsed: Parsed) -> Result<Ready> {
        let statement = self.statement(request, &query.pins, parsed.body).await?;
        let references = self.references(&statement)?;
        let (session, principal) = (&request.session, &request.principal);
        let resolution = resolve(&self.catalog, principal, session, &query.pins, references).await?;
        let policies = self.catalog.policies();
        let key = PlanKey::new(&query.sql, session, &resolution, policies.epoch(), principal);
        if let Some(prepared) = self.plans.get(&key) {
            // The decision is asked again: a plan that was kept is no authority.
            enforce(prepared.guard.plan().clone(), principal, &policies)?;
            return Ok(Ready { prepared, resolution });
        }
        let state = self.sessions.state(session, &resolution, None)?;
        let plan = logical(&state, statement).await?;
        let prepared = Arc::new(Prepared {
            kind: parsed.kind,
            parameters: parameters::wanted(&plan)?,
            origins: origins::origins(&plan),
            guard: enforce(plan, principal, &policies)?,
        });
        if resolution.is_versioned {
            self.plans.put(key, &prepared);
        }
        Ok(Ready { prepared, resolution })
    }

    /// The statement to plan for what was parsed.
    async fn statement(&self, request: &Request, pins: &Pins, body: Body) -> Result<ast::Statement> {
        let body = match body {
            Body::Plan(statement) => return Ok(*statement),
            Body::Describe(name) => {
                let reference = TableReference::from(name.to_string());
                let name = full_name(&reference, &request.session);
                // A table that is not there is an error, not an empty list.
                let wanted = vec![TableReference::full(
                    name.catalog.as_str(),
                    name.schema.as_str(),
                    name.table.as_str(),
                )];
                resolve(&self.catalog, &request.principal, &request.session, pins, wanted).await?;
                trusted(&format!(
                    "SELECT column_name, data_type, is_nullable, column_comment \
                     FROM \"{}\".information_schema.columns WHERE table_schema = {} AND table_name = {} \
                     ORDER BY ordinal_position",
                    name.catalog.replace('"', "\"\""),
                    literal(&name.schema),
                    literal(&name.table)
                ))?
            }
            Body::ShowSetting(key) => {
                let settings = request.session.settings();
                let rows: Vec<String> = settings
                    .iter()
                    .filter(|(name, _)| key.as_ref().is_none_or(|wanted| wanted == name))
                    .map(|(name, value)| format!("({}, {})", literal(name), literal(value)))
                    .collect();
                trusted(&format!(
                    "SELECT column1 AS name, column2 AS value FROM (VALUES {})",
                    rows.join(", ")
                ))?
            }
            Body::Nothing => {
                return Err(Error::invalid(
                    "this statement changes the session and gives no rows",
                ));
            }
        };
        match body {
            Body::Plan(statement) => Ok(*statement),
            _ => Err(Error::Internal {
                message: "a rewritten statement is not a query".to_owned(),
            }),
        }
    }

    fn references(&self, statement: &ast::Statement) -> Result<Vec<TableReference>> {
        let statement = Statement::Statement(Box::new(statement.clone()));
        Ok(self.sessions.bare().resolve_table_references(&statement)?)
    }

    /// The plan with the values of one row and the limit of the request.
    fn bound(
        &self,
        prepared: &Prepared,
        query: &Query,
        row: usize,
    ) -> Result<crate::enforce::guard::GuardedPlan> {
        let guard =
            match &query.parameters {
                Some(batch) if !prepared.parameters.is_empty() => prepared
                    .guard
                    .bound(parameters::values(batch, row, &prepared.parameters)?)?,
                Some(batch) if batch.num_columns() > 0 => {
                    let problem = "is one too many, the statement has none".to_owned();
                    return Err(Error::Parameter { position: 1, problem });
                }
                _ => prepared.guard.clone(),
            };
        match query.rows_max {
            Some(rows) => guard.limited(rows),
            None => Ok(guard),
        }
    }

    fn schema(&self, prepared: &Prepared, query: &Query) -> Result<SchemaRef> {
        let has_values = query
            .parameters
            .as_ref()
            .is_some_and(|batch| batch.num_rows() > 0);
        if prepared.parameters.is_empty() || !has_values {
            return Ok(Arc::clone(prepared.guard.plan().schema().inner()));
        }
        Ok(Arc::clone(
            self.bound(prepared, query, 0)?.plan().schema().inner(),
        ))
    }

    async fn run(
        &self,
        request: &Request,
        query: &Query,
        prepared: &Prepared,
        resolution: &Resolution,
        row: usize,
    ) -> Result<Run> {
        let guard = self.bound(prepared, query, row)?;
        let target = query.partition.map(|partition| partition.target);
        let state = self.sessions.state(&request.session, resolution, target)?;
        let plan = physical::plan(&guard, &state).await?;
        if let Some(partition) = query.partition {
            physical::check_partition(&plan, partition)?;
        }
        Ok(Run {
            plan,
            task: self.sessions.task(&state)?,
            partition: query.partition.map(|partition| partition.index),
        })
    }
}

/// Plans a statement. A parameter of which nothing tells the type makes the engine fail; then every parameter is
/// declared as text and the statement is planned again, which is what a client would have to assume.
async fn logical(state: &SessionState, statement: ast::Statement) -> Result<LogicalPlan> {
    let plain = Statement::Statement(Box::new(statement.clone()));
    let error = match state.statement_to_plan(plain).await {
        Ok(plan) => return Ok(plan),
        Err(error) => error,
    };
    let positions = parameter_count(&statement);
    if positions == 0 {
        return Err(error.into());
    }
    let prepare = ast::Statement::Prepare {
        name: ast::Ident::new("statement"),
        data_types: vec![ast::DataType::Varchar(None); positions],
        statement: Box::new(statement),
    };
    match state
        .statement_to_plan(Statement::Statement(Box::new(prepare)))
        .await
    {
        Ok(LogicalPlan::Statement(datafusion::logical_expr::Statement::Prepare(prepared))) => {
            Ok(Arc::unwrap_or_clone(prepared.input))
        }
        _ => Err(error.into()),
    }
}

/// The highest position of a parameter in a statement.
fn parameter_count(statement: &ast::Statement) -> usize {
    use std::ops::ControlFlow;
    let mut highest = 0;
    let outcome: ControlFlow<()> = ast::visit_expressions(statement, |expr| {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Placeholder(name) = &value.value
        {
            highest = highest.max(name.trim_start_matches('$').parse().unwrap_or(0));
        }
        ControlFlow::Continue(())
    });
    match outcome {
        ControlFlow::Continue(()) | ControlFlow::Break(()) => highest,
    }
}
