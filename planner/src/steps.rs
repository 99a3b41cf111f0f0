//! The steps of a statement, in order: parse, resolve, policy, plan. `engine.rs` calls them; each is a file of its own.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::QueryScope;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use policies::Privilege;

use crate::cache::{OperatorsCache, OperatorsKey, PlanCache, PlanKey, Prepared};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::enforce::enforce;
use crate::enforce::guard::GuardedPlan;
use crate::error::{Error, Result};
use crate::execute::{Gauge, Run};
use crate::logical::logical;
use crate::parse::{Body, Parsed, StatementKind, literal, parse, trusted};
use crate::request::{Described, Partition, Pins, Query, Request};
use crate::resolve::{Resolution, full_name, resolve};
use crate::session::Sessions;
use crate::{information_schema, origins, parameters, physical};

/// What all statements share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) catalog: Catalog,
    pub(crate) sessions: Sessions,
    pub(crate) plans: PlanCache,
    pub(crate) operators: OperatorsCache,
    pub(crate) running: Gauge,
}

/// A statement ready to be optimised, with the session that it was read in.
pub(crate) struct Ready {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) resolution: Resolution,
    /// What the guarded plan depends on; none when it is also a function of the moment.
    pub(crate) key: Option<PlanKey>,
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
        let partitions = match is_cut {
            true => self.partitions(request, query, &ready).await?,
            false => Vec::new(),
        };
        Ok(Described {
            kind: prepared.kind.clone(),
            schema,
            parameters: prepared.parameters.clone(),
            at: query.at.unwrap_or_default(),
            partitions,
            origins: prepared.origins.clone(),
            pins: ready.resolution.pins,
        })
    }

    /// The parts of a result that can be cut; none when it is too small to be worth it.
    async fn partitions(&self, request: &Request, query: &Query, ready: &Ready) -> Result<Vec<Partition>> {
        let whole = self.operators(request, query, ready, 0, None).await?.0;
        let Some(target) = physical::wanted_partitions(&whole, &self.config) else {
            return Ok(Vec::new());
        };
        let cut = self.operators(request, query, ready, 0, Some(target)).await?.0;
        Ok(physical::partitions(&cut, target))
    }

    /// The operators of one run, planned now or a moment ago, with the session to run them in.
    async fn operators(
        &self,
        request: &Request,
        query: &Query,
        ready: &Ready,
        row: usize,
        target: Option<usize>,
    ) -> Result<(Arc<dyn ExecutionPlan>, SessionState)> {
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
        if let Some(plan) = key.as_ref().and_then(|key| self.operators.get(key)) {
            return Ok((plan, state));
        }
        let plan = physical::plan(&bound(prepared, query, values)?, &state).await?;
        if let Some(key) = key {
            self.operators.put(key, &plan);
        }
        Ok((plan, state))
    }

    /// Parse, resolve, policy.
    pub(crate) async fn prepare(&self, request: &Request, query: &Query) -> Result<Ready> {
        let parsed = parse(&query.sql, &self.config)?;
        self.prepare_parsed(request, query, parsed).await
    }

    async fn prepare_parsed(&self, request: &Request, query: &Query, parsed: Parsed) -> Result<Ready> {
        let statement = self.statement(request, &query.pins, parsed.body).await?;
        let references = self.references(&statement)?;
        let (session, principal) = (&request.session, &request.principal);
        let resolution = resolve(&self.catalog, principal, session, &query.pins, references).await?;
        let policies = self.catalog.policies()?;
        let key = PlanKey::new(&query.sql, session, &resolution, policies.epoch());
        if let Some(prepared) = self.plans.get(&key) {
            // The decision is asked again: a plan that was kept is no authority.
            enforce(prepared.guard.plan().clone(), principal, &policies)?;
            let key = Some(key);
            return Ok(Ready {
                prepared,
                resolution,
                key,
            });
        }
        let state = self.sessions.state(session, &resolution, None, query.at)?;
        let mut plan = logical(&state, statement).await?;
        if physical::can_be_cut(&plan) {
            plan = physical::without_views(plan)?;
        }
        let prepared = Arc::new(Prepared {
            kind: parsed.kind,
            parameters: parameters::wanted(&plan)?,
            origins: origins::origins(&plan),
            guard: enforce(plan, principal, &policies)?,
        });
        let key = resolution.is_versioned.then_some(key);
        if let Some(key) = &key {
            self.plans.put(key.clone(), &prepared);
        }
        Ok(Ready {
            prepared,
            resolution,
            key,
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

    /// Whether the principal may see whole plans of everything that the statement reads.
    pub(crate) fn may_see_plans(&self, request: &Request, prepared: &Prepared) -> bool {
        let Ok(policies) = self.catalog.policies() else {
            return false;
        };
        let mut tables = prepared.guard.tables().keys();
        tables.all(|table| {
            table.schema == information_schema::NAME
                || policies.permits(&request.principal, Privilege::ExplainFull, table)
        })
    }

    pub(crate) fn schema(&self, prepared: &Prepared, query: &Query) -> Result<SchemaRef> {
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

    pub(crate) async fn run(
        &self,
        request: &Request,
        query: &Query,
        ready: &Ready,
        row: usize,
        scope: &Arc<QueryScope>,
    ) -> Result<Run> {
        let target = query.partition.map(|partition| partition.target);
        let (plan, state) = self.operators(request, query, ready, row, target).await?;
        if let Some(partition) = query.partition {
            physical::check_partition(&plan, partition)?;
        }
        Ok(Run {
            plan,
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
    let guard = match values.is_empty() {
        true => prepared.guard.clone(),
        false => prepared.guard.bound(values)?,
    };
    match query.rows_max {
        Some(rows) => guard.limited(rows),
        None => Ok(guard),
    }
}
