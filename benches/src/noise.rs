//! Whether the machine was ours while we measured. A ratio taken beside a compiler is not worth keeping as a result.

use std::time::Instant;

use anyhow::Result;

use crate::system::{Machine, cores, cpu_seconds, machine};

/// The share of the machine that others may use in a quiet run.
pub const QUIET: f64 = 0.05;

/// What others took of the machine while something was measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noise {
    /// Share of all processors that went to processes other than the bench, its gateways and its peers.
    pub others: f64,
    /// Share that the host gave to other machines.
    pub stolen: f64,
}

impl Noise {
    /// Whether the figures may be called quiet.
    pub fn is_quiet(self) -> bool {
        self.others <= QUIET && self.stolen <= QUIET
    }

    /// The worse of both.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        Self {
            others: self.others.max(other.others),
            stolen: self.stolen.max(other.stolen),
        }
    }
}

/// A measurement going on.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    machine: Machine,
    ours: f64,
}

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn start() -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            machine: machine()?,
            ours: cpu_seconds(std::process::id())?,
        })
    }

    /// What others took since the start. Every process that the bench started must still live, or have been waited for.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn end(self) -> Result<Noise> {
        let all = self.began.elapsed().as_secs_f64() * cores() as f64;
        let now = machine()?;
        let ours = cpu_seconds(std::process::id())? - self.ours;
        let others = (now.busy - self.machine.busy - ours).max(0.0);
        let stolen = now.stolen - self.machine.stolen;
        Ok(Noise {
            others: others / all,
            stolen: stolen / all,
        })
    }
}
