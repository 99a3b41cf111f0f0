//! The one door. Every protocol and every statement form comes through [`Engine::describe`], [`Engine::run`] or a
//! listing; `steps.rs` takes each of them through parse, resolve, policy and plan, in this order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use connectors::{ForeignKey, QueryScope, Registry};
use futures::{Stream, StreamExt, stream};
use policies::{PolicySet, PolicyStore, Principal};

use crate::cache::{FleetCache, Found, OperatorsCache, PlanCache, Prepared, ResultCounts, Results, Sought};
use crate::catalog::{Catalog, Pattern, Table, TableFilter};
use crate::config::Config;
use crate::cooperate::giving_way;
use crate::enforce::Fence;
use crate::error::{Error, Result};
use crate::execute::{self, Bounds, Gauge, Rows, Run, Running};
use crate::explain;
use crate::information_schema;
use crate::parse::StatementKind;
use crate::report::{After, CacheReport, Reporter};
use crate::request::{CacheMode, Described, Query, Request, Session};
use crate::review::{Review, review};
use crate::runtime::CpuRuntime;
use crate::session::Sessions;
use crate::shadow::{Shadow, is_comparable};
use crate::steps::{Inner, Ready};

/// How long a source may take to say that it is there.
const PROBE: Duration = Duration::from_secs(2);

/// Plans and runs statements over all sources. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    runtime: CpuRuntime,
}

impl Engine {
    /// Opens the sources of `config`. The calling runtime is the one that waits for files and sockets.
    ///
    /// # Errors
    /// `Setting` naming a limit that leaves no room to work, `Source` naming the source that cannot be opened.
    pub async fn open(config: &Config, policies: Arc<dyn PolicyStore>) -> Result<Self> {
        Self::open_in_fleet(config, policies, None).await
    }

    /// As [`Engine::open`] for a gateway that shares kept rows with others.
    ///
    /// # Errors
    /// As [`Engine::open`]; `Setting` with the key `fleet.redis` when its address cannot be read.
    pub async fn open_in_fleet(
        config: &Config,
        policies: Arc<dyn PolicyStore>,
        fleet: Option<FleetCache>,
    ) -> Result<Self> {
        config.validate()?;
        let io = tokio::runtime::Handle::current();
        let registry = Registry::open(&config.sources, io).await?;
        let inner = Inner {
            catalog: Catalog::new(registry, policies),
            sessions: Sessions::open(config)?,
            plans: PlanCache::new(config.plan_cache_entries),
            operators: OperatorsCache::new(),
            results: Results::open(&config.cache, fleet)?,
            running: Gauge::default(),
            shadow: Arc::new(Shadow::new(config.shadow_rate)),
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

    /// The foreign keys between tables that the principal may know, each with its catalog, sorted.
    ///
    /// # Errors
    /// `Source` when a source does not answer.
    pub async fn foreign_keys(
        &self,
        principal: &Principal,
        catalog: Option<&str>,
    ) -> Result<Vec<(String, ForeignKey)>> {
        let (inner, principal) = (Arc::clone(&self.inner), principal.clone());
        let catalog = catalog.map(str::to_owned);
        self.runtime
            .run(async move { inner.catalog.foreign_keys(&principal, catalog.as_deref()).await })
            .await
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

    /// The information schema's own tables in the catalogs that the principal may know, sorted. `filter.kinds` is not
    /// looked at: who calls this wants them.
    ///
    /// # Errors
    /// `Source` when a source does not answer.
    pub async fn system_tables(&self, principal: &Principal, filter: &TableFilter) -> Result<Vec<Table>> {
        let (inner, principal, filter) = (Arc::clone(&self.inner), principal.clone(), filter.clone());
        self.runtime
            .run(async move { information_schema::list(&inner.catalog, &principal, &filter).await })
            .await
    }

    /// Whether each source answers now. One that says nothing for two seconds does not.
    pub async fn check(&self) -> Vec<(String, Result<()>)> {
        let checks = self.inner.catalog.sources().map(|(name, source)| async move {
            let answered = tokio::time::timeout(PROBE, source.check()).await;
            let outcome = match answered {
                Ok(outcome) => outcome.map_err(Error::from),
                Err(_) => Err(Error::Timeout),
            };
            (name.to_owned(), outcome)
        });
        futures::future::join_all(checks).await
    }

    /// Lays a document over every table of every source, without putting it in force.
    ///
    /// # Errors
    /// `Internal` when the runtime is gone; what cannot be looked at is in the [`Review`].
    pub async fn review(&self, set: &Arc<PolicySet>) -> Result<Review> {
        let (inner, set) = (Arc::clone(&self.inner), Arc::clone(set));
        self.runtime
            .run(async move { Ok(review(&inner.catalog, &set).await) })
            .await
    }

    /// What each source has done since it was opened: the source, the name of the count, the count.
    pub fn source_counts(&self) -> Vec<(String, &'static str, u64)> {
        let sources = self.inner.catalog.sources();
        sources
            .flat_map(|(name, source)| {
                let counts = source.counts().into_iter();
                counts.map(|(what, count)| (name.to_owned(), what, count))
            })
            .collect()
    }

    /// Queries that run now.
    pub fn running(&self) -> usize {
        self.inner.running.value()
    }

    /// Second runs without handing anything down: those that gave the same rows, and those that did not.
    pub fn shadow_runs(&self) -> (u64, u64) {
        self.inner.shadow.counts()
    }

    /// What the cache of rows has done since the start.
    pub fn kept_results(&self) -> ResultCounts {
        self.inner.results.counts()
    }

    /// Plans that are kept now for statements seen before.
    pub fn kept_plans(&self) -> u64 {
        self.inner.plans.entries()
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
            changed.assign(key, value)?;
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
        let query = &Query {
            at: Some(query.at.unwrap_or_else(|| chrono::Utc::now().timestamp_micros())),
            ..query.clone()
        };
        let ready = Arc::new(inner.prepare(request, query).await?);
        let prepared = &ready.prepared;
        let bounds = self.bounds(request, prepared);
        let rows = check_parameters(prepared, query, &inner.config)?;
        let columns = (
            inner.schema(prepared, query)?,
            prepared.origins.clone(),
            ready.reads.clone(),
        );
        let around = inner.surroundings(request, &ready);
        let change = match inner.may_see_plans(request, prepared) {
            true => changes(&prepared.kind, around.sees_statements),
            false => shapes(&prepared.kind),
        };
        // One for all runs of the call: a source that keeps no versions shows them one state as well.
        let rules = &request.session.rules;
        let scope = Arc::new(QueryScope::new(Some(bounds.deadline)).with_staleness_max(rules.staleness_max));
        let reporter = Reporter::new(
            around.clone(),
            request.principal.subject(),
            scope.observations().clone(),
        );
        let start = |reporter: Reporter, rows: Rows| {
            let running = &inner.running;
            execute::start(&self.runtime, running, columns, reporter, rows, bounds, change)
        };
        if rows == 0 {
            return Ok(start(reporter, Rows::of(stream::empty().boxed())));
        }
        if prepared.kind == StatementKind::Policy {
            let policies = inner.catalog.policies()?;
            let told = explain::policy::rows(&policies, &request.principal, prepared.guard.tables())?;
            return Ok(start(reporter, Rows::Whole(vec![told])));
        }
        let (found, cached) = self.found(request, query, &ready).await;
        let reporter = reporter.cached(cached);
        let recording = match found {
            Found::Kept(kept) => return Ok(start(reporter, Rows::Whole(kept.batches.clone()))),
            Found::Record(recording) => Some(recording),
            Found::Run => None,
        };
        let first = polite(inner.run(request, query, &ready, 0, &scope).await?)?;
        if let StatementKind::Federation { analyze } = prepared.kind {
            let told = explain::federation(first, around, scope, analyze);
            return Ok(start(reporter, Rows::of(stream::once(told).boxed())));
        }
        let reporter = match self.compared(request, query, &ready, &first, &scope) {
            Some(after) if rows == 1 => reporter.followed(after),
            _ => reporter,
        };
        // Every row reads the state of the lake that the first one read.
        let query = Query {
            pins: ready.resolution.pins.clone(),
            ..query.clone()
        };
        let rest = further(&inner, request, query, scope, rows);
        let runs = stream::once(async move { Ok(first) }).chain(rest).boxed();
        Ok(start(reporter, Rows::Made { runs, recording }))
    }

    /// What ends the stream of a query, beside its last row.
    fn bounds(&self, request: &Request, prepared: &Prepared) -> Bounds {
        Bounds {
            deadline: deadline(request, self.inner.config.query_timeout),
            batches_max: self.inner.config.stream_batches_max,
            fence: Fence::new(
                self.inner.catalog.store(),
                Arc::clone(&request.principal),
                prepared.guard.tables().clone(),
            ),
        }
    }

    /// What is kept of the rows of a query, and what the report says of that.
    async fn found(&self, request: &Request, query: &Query, ready: &Ready) -> (Found, CacheReport) {
        let results = &self.inner.results;
        let sought = match Sought::of(results.config(), &request.session, query, ready) {
            Ok(sought) => sought,
            Err(why) => {
                results.passed_by();
                return (Found::Run, CacheReport::bypassed(why.as_str()));
            }
        };
        let mode = request.session.cache;
        let found = results.find(sought, mode, request.principal.tenant()).await;
        let report = match (&found, mode) {
            (Found::Kept(kept), _) => CacheReport::hit(kept.age()),
            (_, CacheMode::Refresh) => CacheReport::refreshed(),
            _ => CacheReport::missed(),
        };
        (found, report)
    }

    /// What compares a call with itself after its end; none for most calls.
    fn compared(
        &self,
        request: &Request,
        query: &Query,
        ready: &Arc<Ready>,
        first: &Run,
        scope: &Arc<QueryScope>,
    ) -> Option<After> {
        let prepared = &ready.prepared;
        let is_one =
            prepared.kind == StatementKind::Query && query.rows_max.is_none() && query.partition.is_none();
        if first.notes.used.is_empty() || !is_one || !is_comparable(prepared.guard.plan()) {
            return None;
        }
        let place = self.inner.shadow.place()?;
        let rules = first.notes.used.clone();
        let (inner, ready) = (Arc::clone(&self.inner), Arc::clone(ready));
        let (request, query, scope) = (request.clone(), query.clone(), Arc::clone(scope));
        let limit = inner.config.query_timeout;
        Some(Box::new(move |given, report| {
            Box::pin(async move {
                let work = async {
                    let schema = inner.schema(&ready.prepared, &query)?;
                    let run = inner.unpushed(&request, &query, &ready, &scope).await?;
                    place.compare(given, run, schema, rules, report).await;
                    Ok(())
                };
                if let Err(error) = in_time(&request, limit, work).await {
                    tracing::debug!(error = %error, "a shadow run did not begin or end");
                }
            })
        }))
    }
}

/// What becomes of each batch of a statement before it leaves.
fn changes(kind: &StatementKind, sees_statements: bool) -> fn(&RecordBatch) -> Result<RecordBatch> {
    match kind {
        StatementKind::Explain if sees_statements => explain::redacted,
        StatementKind::Explain => explain::redacted_statements,
        StatementKind::Query
        | StatementKind::Set(_)
        | StatementKind::Federation { .. }
        | StatementKind::Policy => execute::unchanged,
    }
}

/// The same for one who may not see what is below a barrier.
fn shapes(kind: &StatementKind) -> fn(&RecordBatch) -> Result<RecordBatch> {
    match kind {
        StatementKind::Explain => explain::shape,
        StatementKind::Query
        | StatementKind::Set(_)
        | StatementKind::Federation { .. }
        | StatementKind::Policy => execute::unchanged,
    }
}

/// The runs of a statement after its first, one for each further row of parameters.
fn further(
    inner: &Arc<Inner>,
    request: &Request,
    query: Query,
    scope: Arc<QueryScope>,
    rows: usize,
) -> impl Stream<Item = Result<Run>> + Send + 'static {
    let (inner, request) = (Arc::clone(inner), request.clone());
    stream::iter(1..rows).then(move |row| {
        let (inner, request, query) = (Arc::clone(&inner), request.clone(), query.clone());
        let scope = Arc::clone(&scope);
        async move {
            let ready = inner.prepare(&request, &query).await?;
            polite(inner.run(&request, &query, &ready, row, &scope).await?)
        }
    })
}

/// A run that can be stopped wherever it is.
fn polite(run: Run) -> Result<Run> {
    Ok(Run {
        plan: giving_way(run.plan)?,
        ..run
    })
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
