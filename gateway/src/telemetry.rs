//! The log of this process, on standard error: standard output belongs to commands that print results.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Format, Telemetry};
use crate::error::Result;

/// Starts the log. A second start in one process changes nothing.
///
/// # Errors
/// `Config` when the filter cannot be read.
pub(crate) fn start(config: &Telemetry) -> Result<()> {
    let filter = config.filter()?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match config.format {
        Format::Json => registry.with(layer.json()).try_init(),
        Format::Text => registry.with(layer.with_ansi(false)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    Ok(())
}
