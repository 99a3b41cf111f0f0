//! The steps of a statement, in order: parse, resolve, policy, plan. `engine.rs` calls them; each is a file of its own.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::QueryScope;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use policies::Privilege;

use crate::cache::{OperatorsCache, OperatorsKey, PlanCache, PlanKey, Prepared, Results};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::enforce::enforce;
use crate::enforce::guard::GuardedPlan;
use crate::error::{Error, Result};
use crate::execute::{Gauge, Run};
use crate::logical::logical;
use crate::optimize::Withheld;
use crate::parse::{Body, Parsed, StatementKind, Versions, literal, parse, trusted};
use crate::physical::Planned;
use crate::reads::Reads;
use crate::report::{self, Report, Surroundings, gather};
use crate::request::{Described, Partition, Pins, PushdownRule, Query, Request, SourceRules};
use crate::resolve::{Resolution, full_name, resolve};
use crate::session::Sessions;
use crate::shadow::Shadow;
use crate::{explain, information_schema, origins, parameters, physical, reads, rules};

/// What all statements share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) catalog: Catalog,
    pub(crate) sessions: Sessions,
    pub(crate) plans: PlanCache,
    pub(crate) operators: OperatorsCache,
    pub(crate) results: Arc<Results>,
    pub(crate) running: Gauge,
    pub(crate) shadow: Arc<Shadow>,
}

/// A statement ready to be optimised, with the session that it was read in.
pub(crate) struct Ready {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) resolution: Resolution,
    /// What it reads.
    pub(crate) reads: Reads,
    /// What the guarded plan depends on; none when it is also a function of the moment.
    pub(crate) key: Option<PlanKey>,
    /// Names the statement.
    pub(crate) statement: [u8; 32],
    /// That of the policies which it was guarded by.
    pub(crate) epoch: String,
}

impl Inner {
    pub(crate) async fn describe(&self, request: &Request, query: &Query) -> Result<Described> {
        let parsed = parse(&query.sql, &self.config)?;
        if let StatementKind::Set(_) = &parsed.kind {
            return Ok(Described::without_rows(parsed.kind));
        }
        let ready = self.prepare_parsed(request, query, parsed).await?;
        let prepared = &ready.prepared;
        let schema = self.schema(prepared, query)?;
        let query = &Query {
            at: Some(query.at.unwrap_or_else(|| chrono::Utc::now().timestamp_micros())),
            ..query.clone()
        };
        let is_one_run = query
            .parameters
            .as_ref()
            .map_or(prepared.parameters.is_empty(), |batch| batch.num_rows() == 1);
        // Parts are read by calls of their own, at other moments: without a version each would see other rows.
        let is_cut = is_one_run
            && query.rows_max.is_none()
            && ready.resolution.is_versioned
            && physical::can_be_cut(prepared.guard.plan());
        let is_planned = is_one_run && query.rows_max.is_none() && prepared.kind == StatementKind::Query;
        let whole = match is_cut || (is_planned && self.is_told(request, &ready)) {
            true => Some(self.operators(request, query, &ready, 0, None).await?.0),
            false => None,
        };
        if let Some(whole) = &whole {
            rules::check(&request.session.rules, whole).await?;
        }
        let partitions = match whole.as_ref().filter(|_| is_cut) {
            Some(whole) => self.partitions(request, query, &ready, whole).await?,
            None => Vec::new(),
        };
        Ok(Described {
            kind: prepared.kind.clone(),
            schema,
            parameters: prepared.parameters.clone(),
            at: query.at.unwrap_or_default(),
            partitions,
            origins: prepared.origins.clone(),
            report: Some(self.report(request, &ready, whole.as_ref())),
            reads: Some(ready.reads),
            pins: ready.resolution.pins,
        })
    }

    /// Whether a plan is made to tell of it: a source runs statements for it, or the session bounds what one gives.
    fn is_told(&self, request: &Request, ready: &Ready) -> bool {
        let tables = &ready.resolution.tables;
        tables.iter().any(|table| !table.is_versioned) || request.session.rules.rows_max.is_some()
    }

    /// What the sources of a statement are asked, before it runs.
    fn report(&self, request: &Request, ready: &Ready, planned: Option<&Planned>) -> Report {
        let around = self.surroundings(request, ready);
        let planned = planned.map(|planned| (&planned.operators, planned.notes.as_ref()));
        gather(&around, planned, None)
    }

    pub(crate) fn surroundings(&self, request: &Request, ready: &Ready) -> Surroundings {
        Surroundings {
            request: request.id.clone(),
            pushdown: request.session.rules.pushdown,
            tables: Arc::clone(&ready.resolution.tables),
            sees_statements: report::sees_statements(&request.principal, &self.config.statement_readers),
        }
    }

    /// The parts of a result that can be cut; none when it is too small to be worth it.
    async fn partitions(
        &self,
        request: &Request,
        query: &Query,
        ready: &Ready,
        whole: &Planned,
    ) -> Result<Vec<Partition>> {
        let Some(target) = physical::wanted_partitions(&whole.operators, &self.config) else {
            return Ok(Vec::new());
        };
        let cut = self.operators(request, query, ready, 0, Some(target)).await?.0;
        Ok(physical::partitions(&cut.operators, target))
    }

    /// The operators of one run, planned now or a moment ago, with the session to run them in.
    async fn operators(
        &self,
        request: &Request,
        query: &Query,
        ready: &Ready,
        row: usize,
        target: Option<usize>,
    ) -> Result<(Planned, SessionState)> {
        let Ready {
            prepared, resolution, ..
        } = ready;
        let values = values(prepared, query, row)?;
        let state = self
            .sessions
            .state(&request.session, resolution, target, query.at)?;
        let is_kept = physical::can_be_cut(prepared.guard.plan()) && physical::is_pure(prepared.guard.plan());
        let key = ready.key.clone().filter(|_| is_kept).map(|plan| OperatorsKey {
            plan,
            values: values.clone(),
            rows_max: query.rows_max,
            target,
        });
        if let Some(planned) = key.as_ref().and_then(|key| self.operators.get(key)) {
            return Ok((planned, state));
        }
        let withheld = match request.session.rules.pushdown {
            PushdownRule::Off => Withheld::all(),
            PushdownRule::Prefer | PushdownRule::Require => self.shadow.withheld(),
        };
        let planned = physical::plan(&bound(prepared, query, values)?, &state, &withheld).await?;
        if let Some(key) = key {
            self.operators.put(key, &planned);
        }
        Ok((planned, state))
    }

    /// Parse, resolve, policy.
    pub(crate) async fn prepare(&self, request: &Request, query: &Query) -> Result<Ready> {
        let parsed = parse(&query.sql, &self.config)?;
        self.prepare_parsed(request, query, parsed).await
    }

    async fn prepare_parsed(&self, request: &Request, query: &Query, parsed: Parsed) -> Result<Ready> {
        let Parsed {
            kind,
            body,
            versions,
            digest,
        } = parsed;
        let statement = self.statement(request, &query.pins, body).await?;
        let references = self.references(&statement)?;
        let (session, principal) = (&request.session, &request.principal);
        let resolution = resolve(
            &self.catalog,
            principal,
            session,
            &query.pins,
            references,
            &versions,
        )
        .await?;
        rules::check_freshness(&session.rules, &resolution.tables)?;
        let policies = self.catalog.policies()?;
        let reads = |prepared: &Prepared, resolution: &Resolution| {
            let (guard, columns) = (&prepared.guard, &prepared.columns);
            Reads::of(guard, columns, &resolution.pins, principal, &policies)
        };
        let key = PlanKey::new(&query.sql, session, &resolution, policies.epoch());
        if let Some(prepared) = self.plans.get(&key) {
            // The decision is asked again: a plan that was kept is no authority.
            enforce(prepared.guard.plan().clone(), principal, &policies)?;
            let key = Some(key);
            return Ok(Ready {
                reads: reads(&prepared, &resolution),
                prepared,
                resolution,
                key,
                statement: digest,
                epoch: policies.epoch().to_owned(),
            });
        }
        let state = self.sessions.state(session, &resolution, None, query.at)?;
        let mut plan = logical(&state, statement).await?;
        if physical::can_be_cut(&plan) {
            plan = physical::without_views(plan)?;
        }
        let prepared = Arc::new(Prepared {
            kind,
            parameters: parameters::wanted(&plan)?,
            origins: origins::origins(&plan),
            columns: reads::columns(&plan),
            guard: enforce(plan, principal, &policies)?,
        });
        let key = resolution.is_versioned.then_some(key);
        if let Some(key) = &key {
            self.plans.put(key.clone(), &prepared);
        }
        Ok(Ready {
            reads: reads(&prepared, &resolution),
            prepared,
            resolution,
            key,
            statement: digest,
            epoch: policies.epoch().to_owned(),
        })
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
                let (principal, session) = (&request.principal, &request.session);
                resolve(
                    &self.catalog,
                    principal,
                    session,
                    pins,
                    wanted,
                    &Versions::default(),
                )
                .await?;
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
                    .map(|(name, value)| format!("({}, {})", literal(name), literal(value.as_str())))
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

    /// The tables that a statement names. A table function stands in the same place as a table; what is one is left to
    /// the planner of the statement.
    fn references(&self, statement: &ast::Statement) -> Result<Vec<TableReference>> {
        let bare = self.sessions.bare();
        let statement = Statement::Statement(Box::new(statement.clone()));
        let mut references = bare.resolve_table_references(&statement)?;
        references.retain(|reference| match reference {
            TableReference::Bare { table } => !bare.table_functions().contains_key(table.as_ref()),
            TableReference::Partial { .. } | TableReference::Full { .. } => true,
        });
        Ok(references)
    }

    /// Whether the principal may see the whole plan of the statement: nothing that it reads is hidden in part, or all of
    /// it is for eyes that the policies name.
    pub(crate) fn may_see_plans(&self, request: &Request, prepared: &Prepared) -> bool {
        let Ok(policies) = self.catalog.policies() else {
            return false;
        };
        let tables = prepared.guard.tables();
        tables.values().all(Option::is_none)
            || tables.keys().all(|table| {
                table.schema == information_schema::NAME
                    || policies.permits(&request.principal, Privilege::ExplainFull, table)
            })
    }

    pub(crate) fn schema(&self, prepared: &Prepared, query: &Query) -> Result<SchemaRef> {
        match prepared.kind {
            StatementKind::Federation { .. } => return Ok(report::schema()),
            StatementKind::Policy => return Ok(explain::policy::schema()),
            StatementKind::Query | StatementKind::Explain | StatementKind::Set(_) => {}
        }
        let has_values = query
            .parameters
            .as_ref()
            .is_some_and(|batch| batch.num_rows() > 0);
        if prepared.parameters.is_empty() || !has_values {
            return Ok(Arc::clone(prepared.guard.plan().schema().inner()));
        }
        let guard = bound(prepared, query, values(prepared, query, 0)?)?;
        Ok(Arc::clone(guard.plan().schema().inner()))
    }

    /// The first run once more, without handing anything down, over the same states.
    pub(crate) async fn unpushed(
        &self,
        request: &Request,
        query: &Query,
        ready: &Ready,
        scope: &Arc<QueryScope>,
    ) -> Result<Run> {
        let Ready {
            prepared, resolution, ..
        } = ready;
        let state = self
            .sessions
            .state(&request.session, resolution, None, query.at)?;
        let guard = bound(prepared, query, values(prepared, query, 0)?)?;
        let Planned { operators, notes } = physical::plan(&guard, &state, &Withheld::all()).await?;
        let rules = SourceRules {
            rows_max: Some(self.config.shadow_rows_max),
            ..SourceRules::default()
        };
        Ok(Run {
            plan: rules::counted(&rules, operators, &notes)?,
            notes,
            task: self.sessions.task(&state, scope)?,
            partition: None,
        })
    }

    pub(crate) async fn run(
        &self,
        request: &Request,
        query: &Query,
        ready: &Ready,
        row: usize,
        scope: &Arc<QueryScope>,
    ) -> Result<Run> {
        let target = query.partition.map(|partition| partition.target);
        let (planned, state) = self.operators(request, query, ready, row, target).await?;
        if let Some(partition) = query.partition {
            physical::check_partition(&planned.operators, partition)?;
        }
        let rules = &request.session.rules;
        // Whoever asks why a statement is refused must get the answer.
        if ready.prepared.kind != (StatementKind::Federation { analyze: false }) {
            rules::check(rules, &planned).await?;
        }
        let Planned { operators, notes } = planned;
        Ok(Run {
            plan: rules::counted(rules, operators, &notes)?,
            notes,
            task: self.sessions.task(&state, scope)?,
            partition: query.partition.map(|partition| partition.index),
        })
    }
}

/// The values of one row of parameters; none when the statement has no parameters.
fn values(prepared: &Prepared, query: &Query, row: usize) -> Result<Vec<ScalarValue>> {
    match &query.parameters {
        Some(batch) if !prepared.parameters.is_empty() => {
            parameters::values(batch, row, &prepared.parameters)
        }
        Some(batch) if batch.num_columns() > 0 => {
            let problem = "is one too many, the statement has none".to_owned();
            Err(Error::Parameter { position: 1, problem })
        }
        _ => Ok(Vec::new()),
    }
}

/// The plan with `values` and the limit of the request.
fn bound(prepared: &Prepared, query: &Query, values: Vec<ScalarValue>) -> Result<GuardedPlan> {
    let is_told = matches!(
        prepared.kind,
        StatementKind::Federation { .. } | StatementKind::Policy
    );
    let guard = match values.is_empty() {
        true => prepared.guard.clone(),
        false => prepared.guard.bound(values)?,
    };
    match query.rows_max {
        // The rows that are limited are those of the description, not those of what it describes.
        Some(_) if is_told => Ok(guard),
        Some(rows) => guard.limited(rows),
        None => Ok(guard),
    }
}
