//! A stream says its end, or it is an error: also where the work breaks off without a word.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, Partitioning, PlanProperties};
use futures::stream;

use policies::{PolicySet, PolicyStore};

use super::*;
use crate::config::Config;
use crate::enforce::guard::Guards;
use crate::enforce::reader;
use crate::report::Surroundings;
use crate::request::PushdownRule;
use connectors::Observations;

/// How the rows of [`Broken`] end.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Panic,
    Failure,
    Never,
}

/// One row a batch, three batches, and an end.
#[derive(Debug)]
struct Broken {
    end: End,
    properties: Arc<PlanProperties>,
}

fn row() -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    RecordBatch::try_from_iter([("a", column)]).unwrap()
}

impl Broken {
    fn new(end: End) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(row().schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            end,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for Broken {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broken")
    }
}

impl ExecutionPlan for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> datafusion::error::Result<SendableRecordBatchStream> {
        let rows = stream::iter((0..3).map(|_| Ok(row())));
        let end = match self.end {
            End::Well => stream::empty().boxed(),
            End::Panic => stream::once(async { panic!("an operator breaks") }).boxed(),
            End::Failure => {
                stream::once(async { Err(DataFusionError::Execution("a value fails".to_owned())) }).boxed()
            }
            End::Never => stream::pending().boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            row().schema(),
            rows.chain(end),
        )))
    }
}

/// Rows that came, and what came last.
/// Policies that allow nothing and never change.
#[derive(Debug)]
struct Still(Arc<PolicySet>);

impl Default for Still {
    fn default() -> Self {
        let set = PolicySet::parse("", Path::new("policies.toml")).unwrap();
        Self(Arc::new(set))
    }
}

impl PolicyStore for Still {
    fn current(&self) -> Arc<PolicySet> {
        Arc::clone(&self.0)
    }

    fn is_fresh(&self) -> bool {
        true
    }
}

async fn read(end: End, limit: Duration) -> (usize, Option<Error>, Gauge) {
    let config = Config {
        threads: 1,
        ..Config::default()
    };
    let (runtime, gauge) = (CpuRuntime::start(&config).unwrap(), Gauge::default());
    let run = Run {
        plan: Arc::new(Broken::new(end)),
        task: Arc::new(TaskContext::default()),
        partition: None,
        notes: Arc::default(),
    };
    let bounds = Bounds {
        deadline: Instant::now() + limit,
        batches_max: 4,
        fence: Fence::new(Arc::new(Still::default()), reader().await, Guards::new()),
    };
    let columns = (row().schema(), vec![None], Reads::default());
    let rows = Rows::of(stream::iter([Ok(run)]).boxed());
    let around = Surroundings {
        request: "a request".to_owned(),
        pushdown: PushdownRule::default(),
        tables: Arc::from([]),
        sees_statements: false,
    };
    let reporter = Reporter::new(around, "somebody", Observations::default());
    let mut running = start(&runtime, &gauge, columns, reporter, rows, bounds, unchanged);
    let mut rows = 0;
    while let Some(batch) = running.next().await {
        match batch {
            Ok(batch) => rows += batch.num_rows(),
            Err(error) => {
                assert!(running.next().await.is_none(), "nothing comes after the end");
                return (rows, Some(error), gauge);
            }
        }
    }
    (rows, None, gauge)
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn rows_with_their_end_are_all_rows() {
    let (rows, error, _) = read(End::Well, LONG).await;
    assert_eq!(rows, 3);
    assert!(error.is_none());
}

#[tokio::test]
async fn an_operator_that_panics_ends_the_stream_as_an_error() {
    let (rows, error, gauge) = read(End::Panic, LONG).await;
    assert_eq!(rows, 3);
    assert!(matches!(error, Some(Error::Internal { .. })), "{error:?}");
    assert_eq!(gauge.value(), 0, "a query that broke off does not run");
}

#[tokio::test]
async fn an_operator_that_fails_ends_the_stream_as_its_error() {
    let (rows, error, _) = read(End::Failure, LONG).await;
    assert_eq!(rows, 3);
    assert!(matches!(error, Some(Error::Evaluation { .. })), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_does_not_end_ends_at_its_deadline() {
    let (rows, error, _) = read(End::Never, Duration::from_millis(50)).await;
    assert!(rows <= 3);
    assert!(matches!(error, Some(Error::Timeout)), "{error:?}");
}
