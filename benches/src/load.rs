//! Many clients at once, in two ways.
//!
//! Closed: each client asks, waits for the answer, and asks again. Throughput is right; latencies are too good, because a
//! slow answer keeps its client from asking more while it is slow (coordinated omission). Open: questions come at a fixed
//! rate whether or not the last ones are answered, and each latency counts from the moment the question was due, also
//! while it waits for its connection. The closed figures tell capacity, the open ones what a user sees.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

/// A client with a connection of its own.
#[async_trait]
pub trait Caller: Send {
    /// Asks once, and fails when the answer is wrong.
    async fn call(&mut self) -> Result<()>;
}

/// Callers of one kind.
pub type Callers = Vec<Box<dyn Caller>>;

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Milliseconds of each call, sorted.
    latencies: Vec<f64>,
    /// Seconds from the first question to the last answer.
    pub seconds: f64,
}

impl Load {
    /// Calls that were answered, and rightly so.
    pub fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls of a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// The latency in milliseconds that `share` of the calls do not exceed; none without a call.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        let place = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(place.saturating_sub(1).min(last)).copied()
    }

    fn of(mut latencies: Vec<f64>, seconds: f64) -> Self {
        latencies.sort_by(f64::total_cmp);
        Self { latencies, seconds }
    }
}

/// Lets every caller ask again and again for `window`.
///
/// # Errors
/// The first call that fails.
pub async fn closed(callers: &mut Callers, window: Duration) -> Result<Load> {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    let end = began + window;
    for mut caller in callers.drain(..) {
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let asked = Instant::now();
                caller.call().await?;
                latencies.push(milliseconds(asked));
            }
            anyhow::Ok((caller, latencies))
        });
    }
    let latencies = gathered(callers, tasks).await?;
    Ok(Load::of(latencies, began.elapsed().as_secs_f64()))
}

/// Asks `rate` questions a second for `window`, dealt to the callers in turn.
///
/// # Errors
/// The first call that fails, or when no caller is there.
pub async fn open(callers: &mut Callers, rate: f64, window: Duration) -> Result<Load> {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    let mut dues = Vec::with_capacity(callers.len());
    for mut caller in callers.drain(..) {
        let (due, mut questions): (_, UnboundedReceiver<Instant>) = unbounded_channel();
        dues.push(due);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while let Some(due) = questions.recv().await {
                caller.call().await?;
                latencies.push(milliseconds(due));
            }
            anyhow::Ok((caller, latencies))
        });
    }
    // A thread of its own: the runtime's clock ticks in milliseconds, which is longer than many answers take.
    let pace = std::thread::spawn(move || {
        let gap = Duration::from_secs_f64(1.0 / rate.max(1.0));
        let mut due = Instant::now();
        let end = due + window;
        for place in (0..dues.len()).cycle() {
            due += gap;
            if due >= end {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A caller that failed takes no more questions; its error comes out below.
            dues[place].send(due).ok();
        }
    });
    let latencies = gathered(callers, tasks).await?;
    pace.join()
        .map_err(|_| anyhow::anyhow!("the pacing thread failed"))?;
    Ok(Load::of(latencies, began.elapsed().as_secs_f64()))
}

/// Takes the callers back, and their latencies.
async fn gathered(
    callers: &mut Callers,
    mut tasks: JoinSet<Result<(Box<dyn Caller>, Vec<f64>)>>,
) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (caller, latencies) = ended?.context("a call failed under load")?;
        callers.push(caller);
        all.extend(latencies);
    }
    Ok(all)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Slow(Duration);

    #[async_trait]
    impl Caller for Slow {
        async fn call(&mut self) -> Result<()> {
            tokio::time::sleep(self.0).await;
            Ok(())
        }
    }

    #[test]
    fn percentiles_are_of_the_sorted_calls() {
        let load = Load::of((1..=100).rev().map(f64::from).collect(), 1.0);
        assert_eq!(
            (load.percentile(0.5), load.percentile(0.99)),
            (Some(50.0), Some(99.0))
        );
        assert_eq!(Load::default().percentile(0.5), None);
    }

    #[tokio::test]
    async fn a_question_that_waits_for_its_turn_is_slow() {
        let window = Duration::from_millis(300);
        let mut one: Callers = vec![Box::new(Slow(Duration::from_millis(20)))];
        let closed = closed(&mut one, window).await.unwrap();
        // Twice as many questions as one caller can answer: the last ones wait as long as the window was.
        let open = open(&mut one, 100.0, window).await.unwrap();
        assert_eq!(one.len(), 1);
        assert!(
            open.percentile(0.99) > closed.percentile(0.5).map(|usual| 3.0 * usual),
            "{open:?}"
        );
    }
}
