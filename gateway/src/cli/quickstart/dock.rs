//! The ingest service inside of the quickstart: the same service as `lakegate-ingest serve`, over the same lake, for the same users.

use std::path::PathBuf;

use ingest::{Pipeline, Service, Settings, door};
use tokio_util::sync::CancellationToken;

use super::error::{Error, Result};
use super::folder::Folder;
use super::{Arguments, settings};

/// The pipeline that stands ready for the newcomer.
const EVENTS: &str = include_str!("../../../../deploy/pipelines/events.toml");
/// Its file below the quickstart's folder.
const EVENTS_FILE: &str = "pipelines/events.toml";

/// A running service.
#[derive(Debug)]
pub(super) struct Dock {
    /// Its door.
    pub(super) open: door::Open,
    stop: CancellationToken,
}

impl Dock {
    /// Makes the pipeline's file where there is none, and starts the service.
    ///
    /// # Errors
    /// A pipeline of the folder cannot be used, or the service cannot start.
    pub(super) async fn start(folder: &Folder, arguments: &Arguments) -> Result<Self> {
        folder.make("pipelines")?;
        if folder.read(EVENTS_FILE)?.is_none() {
            folder.write(EVENTS_FILE, EVENTS)?;
        }
        let text = settings::ingest(folder, arguments);
        folder.write("ingest.toml", &text)?;
        let path: PathBuf = folder.path("ingest.toml");
        let settings = Settings::parse(&text, &path).map_err(Error::Ingest)?;
        let pipelines = Pipeline::folder(&settings.pipelines).map_err(Error::Ingest)?;
        let stop = CancellationToken::new();
        let service = Service::start(&settings, pipelines, &stop)
            .await
            .map_err(Error::Ingest)?;
        let open = door::open(settings, service, stop.clone())
            .await
            .map_err(Error::Ingest)?;
        Ok(Self { open, stop })
    }

    /// Takes no more uploads, commits what was accepted, and ends.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.open.closed().await;
    }
}
