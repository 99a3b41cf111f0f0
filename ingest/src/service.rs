//! The running service: every pipeline's tasks over one lake.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connectors::Connector;
use connectors::iceberg::Iceberg;
use iceberg::Catalog;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::append::Appender;
use crate::bronze::writer::Writer;
use crate::bronze::{self, Bronze};
use crate::commit::{Kernel, Tables, facts};
use crate::error::{Error, ErrorKind, Result};
use crate::gold::Gold;
use crate::kafka;
use crate::kafka::state::{Board, State};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::settings::Settings;
use crate::silver::Silver;
use crate::silver::window::Windows;
use crate::{fault, lake};

/// The longest pause after failures in a row.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How a pipeline is, for people.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Health {
    /// Why the last cycle failed, with its causes; none when it did not.
    pub failure: Option<String>,
    /// When the last cycle ended well, in milliseconds since 1970.
    pub succeeded_at_ms: Option<i64>,
}

/// One pipeline that runs.
#[derive(Debug)]
pub struct Running {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The way to its bronze for uploads; none when its records come from elsewhere.
    pub bronze: Option<Bronze>,
    board: Option<Board>,
    health: Arc<Mutex<Health>>,
}

impl Running {
    /// How it is.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How its source is, for one that is read.
    pub fn source(&self) -> Option<State> {
        self.board.as_ref().map(Board::state)
    }
}

/// The rooms that all pipelines share.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// Commits.
    pub kernel: Kernel,
    /// Files.
    pub appender: Appender,
    /// The lake as tables.
    pub source: Arc<dyn Connector>,
    /// The index of published records.
    pub windows: Windows,
    /// Counters.
    pub metrics: Metrics,
}

impl Rooms {
    /// Opens the lake; what is missing of it is made.
    ///
    /// # Errors
    /// What cannot be opened.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let opened = lake::open(&settings.lake.catalog, &settings.lake.warehouse).await?;
        lake::ensure_zones(opened.as_ref()).await?;
        let catalog: Arc<dyn Catalog> = Arc::<connectors::iceberg::JdbcCatalog>::clone(&opened);
        let tables: Arc<dyn Tables> = opened;
        let config = connectors::iceberg::Config::new(
            &settings.lake.catalog,
            settings.lake.warehouse.display().to_string(),
        );
        let source = Iceberg::open("lake", &config, Handle::current()).await;
        let source = source.map_err(|source| Error::Lake {
            path: settings.lake.catalog.display().to_string(),
            source: Box::new(source),
        })?;
        Ok(Self {
            kernel: Kernel::new(
                tables,
                settings.append.commit_attempts_max,
                settings.append.manifests_max,
            ),
            appender: Appender::new(Arc::clone(&catalog), settings.append.clone())?,
            catalog,
            source: Arc::new(source),
            windows: Windows::open(&settings.state, settings.index_cache_bytes)?,
            metrics: Metrics::new()?,
        })
    }

    pub(crate) fn gold(&self, pipeline: &Pipeline) -> Gold {
        Gold::new(
            pipeline.clone(),
            self.kernel.clone(),
            self.appender.clone(),
            Arc::clone(&self.source),
            self.metrics.clone(),
        )
    }

    pub(crate) async fn silver(&self, pipeline: &Pipeline) -> Result<Silver> {
        Silver::open(
            pipeline.clone(),
            self.kernel.clone(),
            self.appender.clone(),
            &self.windows,
            self.metrics.clone(),
        )
        .await
    }
}

/// The service.
#[derive(Debug)]
pub struct Service {
    /// Its pipelines by name.
    pub pipelines: BTreeMap<String, Running>,
    /// What they share.
    pub rooms: Rooms,
    tasks: JoinSet<()>,
}

impl Service {
    /// Starts every pipeline. They run until `stop`; what was accepted by then is committed.
    ///
    /// # Errors
    /// The lake or a table of a pipeline cannot be opened or made.
    pub async fn start(
        settings: &Settings,
        pipelines: Vec<Pipeline>,
        stop: &CancellationToken,
    ) -> Result<Self> {
        if let Some((point, time)) = settings.fault_point.split_once(':') {
            fault::arm(point, time.parse().unwrap_or(1));
        }
        let rooms = Rooms::open(settings).await?;
        let mut service = Self {
            pipelines: BTreeMap::new(),
            rooms,
            tasks: JoinSet::new(),
        };
        for pipeline in pipelines {
            service.begin(pipeline, settings, stop).await?;
        }
        Ok(service)
    }

    async fn begin(
        &mut self,
        pipeline: Pipeline,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Result<()> {
        let (committed, commits) = watch::channel(0);
        let (bronze, board) = match pipeline.document().source.kafka() {
            None => (Some(self.uploads(&pipeline, settings, committed).await?), None),
            Some(_) => (
                None,
                Some(self.topics(&pipeline, settings, committed, stop).await?),
            ),
        };
        let rooms = &self.rooms;
        let silver = rooms.silver(&pipeline).await?;
        let health = Arc::new(Mutex::new(Health::default()));
        rooms
            .metrics
            .pending(pipeline.name(), pending(&rooms.kernel, &pipeline).await?);
        let gold = rooms.gold(&pipeline);
        // What is wrong with a model is told by the refinery, which tries again; records come in meanwhile.
        if let Err(error) = gold.prepare().await {
            tracing::error!(
                pipeline = pipeline.name(),
                error = error.chain(),
                "gold is not prepared"
            );
        }
        let refinery = Refinery {
            gold,
            silver,
            pipeline: pipeline.clone(),
            health: Arc::clone(&health),
            metrics: rooms.metrics.clone(),
        };
        self.tasks.spawn(refinery.run(commits, stop.clone()));
        let name = pipeline.name().to_owned();
        self.pipelines.insert(
            name,
            Running {
                pipeline,
                bronze,
                board,
                health,
            },
        );
        Ok(())
    }

    /// Starts the task that takes uploads to bronze.
    async fn uploads(
        &mut self,
        pipeline: &Pipeline,
        settings: &Settings,
        committed: watch::Sender<i64>,
    ) -> Result<Bronze> {
        let rooms = &self.rooms;
        let (bronze, task) = bronze::start(bronze::Parts {
            pipeline: pipeline.clone(),
            interval: pipeline.interval(),
            keys_max: settings.keys_max,
            remembered_ms: bronze::memory::REMEMBERED_MS,
            kernel: rooms.kernel.clone(),
            appender: rooms.appender.clone(),
            metrics: rooms.metrics.clone(),
            committed,
        })
        .await?;
        self.tasks.spawn(async move {
            // Its own words are in the log already.
            drop(task.await);
        });
        Ok(bronze)
    }

    /// Starts the task that takes topics of Kafka to bronze.
    async fn topics(
        &mut self,
        pipeline: &Pipeline,
        settings: &Settings,
        committed: watch::Sender<i64>,
        stop: &CancellationToken,
    ) -> Result<Board> {
        let rooms = &self.rooms;
        let board = Board::new(pipeline.name(), rooms.metrics.clone());
        if let Some(config) = pipeline.document().source.kafka() {
            let (kernel, appender) = (rooms.kernel.clone(), rooms.appender.clone());
            let (writer, _) =
                Writer::claim(pipeline, kernel, appender, rooms.metrics.clone(), committed).await?;
            let parts = kafka::Parts {
                pipeline: pipeline.clone(),
                kafka: config.clone(),
                writer,
                metrics: rooms.metrics.clone(),
                bounds: settings.body,
                board: board.clone(),
            };
            self.tasks.spawn(kafka::run(parts, stop.clone()));
        }
        Ok(board)
    }

    /// A pipeline by its name.
    pub fn get(&self, name: &str) -> Option<&Running> {
        self.pipelines.get(name)
    }

    /// Waits until every task has ended. The doors to bronze must be closed before.
    pub async fn stopped(self) {
        let Self {
            pipelines, mut tasks, ..
        } = self;
        drop(pipelines);
        while tasks.join_next().await.is_some() {}
    }
}

/// Records of bronze that silver has not read.
pub(crate) async fn pending(kernel: &Kernel, pipeline: &Pipeline) -> Result<u64> {
    let bronze = kernel
        .load(&bronze::envelope::contract(pipeline)?.ident())
        .await?;
    let silver = kernel.load(&pipeline.silver().ident()).await?;
    let total = bronze
        .metadata()
        .current_snapshot()
        .map_or(0, |snapshot| facts::number(snapshot, "total-records"));
    let read = facts::newest(silver.metadata(), "ingest.total-in")
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0);
    Ok(total.saturating_sub(read))
}

/// The task that takes one pipeline from bronze to gold.
struct Refinery {
    pipeline: Pipeline,
    silver: Silver,
    gold: Gold,
    health: Arc<Mutex<Health>>,
    metrics: Metrics,
}

impl Refinery {
    async fn run(self, mut commits: watch::Receiver<i64>, stop: CancellationToken) {
        let interval = self.pipeline.interval();
        let mut pause = interval;
        loop {
            let outcome = self.cycle().await;
            pause = match &outcome {
                Ok(()) => interval,
                Err(error) if error.kind() == ErrorKind::Conflict => PAUSE_MAX,
                Err(_) => (pause * 2).min(PAUSE_MAX),
            };
            self.note(outcome);
            let next = async {
                tokio::time::sleep(pause).await;
                // After a failure time alone helps; otherwise there is nothing to do before bronze has grown.
                if pause == interval && commits.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = next => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn cycle(&self) -> Result<()> {
        loop {
            let cycle = self.silver.cycle().await.inspect_err(|_| {
                self.metrics.failed(self.pipeline.name(), "silver");
            })?;
            if !cycle.more {
                break;
            }
        }
        self.gold.cycle().await.map(|_| ()).inspect_err(|_| {
            self.metrics.failed(self.pipeline.name(), "gold");
        })
    }

    fn note(&self, outcome: Result<()>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                health.failure = None;
                health.succeeded_at_ms = Some(chrono::Utc::now().timestamp_millis());
            }
            Err(error) => {
                let chain = error.chain();
                tracing::error!(pipeline = self.pipeline.name(), error = chain, "a cycle failed");
                health.failure = Some(chain);
            }
        }
    }
}
