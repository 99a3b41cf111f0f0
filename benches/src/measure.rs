//! One stopwatch for all. Subjects of a comparison take turns, forwards in one round and backwards in the next (ABBA), so
//! that a machine that gets slower or faster meanwhile treats them alike; medians are compared, not best times.
//!
//! Invariant: every sample has wall and processor seconds, those of the server apart from those of the client.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde::Serialize;

use crate::system::{cpu_seconds, own_cpu_seconds};

/// The longest that one run of one subject may take.
const RUN: Duration = Duration::from_secs(300);

/// Something that can be run again and again.
#[async_trait]
pub trait Subject: Send {
    /// What the table calls it.
    fn name(&self) -> &str;
    /// The process that does the work; none when it is this one.
    fn server(&self) -> Option<u32>;
    /// Does the work once and gives the number of rows that came.
    async fn run(&mut self) -> Result<u64>;
}

#[async_trait]
impl<T: Subject + ?Sized> Subject for &mut T {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn server(&self) -> Option<u32> {
        (**self).server()
    }

    async fn run(&mut self) -> Result<u64> {
        (**self).run().await
    }
}

/// Processor seconds of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Of the process that serves.
    pub server: f64,
    /// Of this process, which asks.
    pub client: f64,
}

/// One run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Seconds on the wall.
    pub wall: f64,
    /// Processor seconds.
    pub cpu: Cpu,
    /// Rows that came.
    pub rows: u64,
}

/// All runs of one subject.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Series {
    /// What the table calls the subject.
    pub name: String,
    /// The runs in order.
    pub samples: Vec<Sample>,
    /// Why there are no more.
    pub failure: Option<String>,
}

impl Series {
    /// The median of the wall seconds; none without a run.
    pub fn wall(&self) -> Option<f64> {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    /// Rows of a second on the wall.
    pub fn rows_per_second(&self) -> Option<f64> {
        median(self.samples.iter().map(|sample| sample.rows as f64 / sample.wall))
    }

    /// The mean of the processor seconds: the kernel counts them in steps of ten milliseconds, which a mean evens out.
    pub fn cpu(&self) -> Option<Cpu> {
        let count = self.samples.len() as f64;
        (count > 0.0).then(|| Cpu {
            server: self.samples.iter().map(|sample| sample.cpu.server).sum::<f64>() / count,
            client: self.samples.iter().map(|sample| sample.cpu.client).sum::<f64>() / count,
        })
    }
}

/// The middle of `values`; of an even number, the mean of the two middle ones.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (
        values.get(values.len().wrapping_sub(1) / 2)?,
        values.get(values.len() / 2)?,
    );
    Some((lower + upper) / 2.0)
}

/// Runs all subjects in `rounds` rounds. One that fails is asked no more and says why.
pub async fn rounds(subjects: &mut [Box<dyn Subject + '_>], rounds: usize) -> Vec<Series> {
    let named = |subject: &Box<dyn Subject + '_>| Series {
        name: subject.name().to_owned(),
        ..Series::default()
    };
    let mut all: Vec<Series> = subjects.iter().map(named).collect();
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let place = if round % 2 == 0 {
                turn
            } else {
                subjects.len() - 1 - turn
            };
            let series = &mut all[place];
            if series.failure.is_some() {
                continue;
            }
            match once(subjects[place].as_mut()).await {
                Ok(sample) => series.samples.push(sample),
                Err(error) => series.failure = Some(format!("{error:#}")),
            }
        }
    }
    all
}

/// Runs one subject once.
///
/// # Errors
/// Whatever the subject fails with, or that it took too long.
pub async fn once(subject: &mut dyn Subject) -> Result<Sample> {
    let server = |subject: &dyn Subject| subject.server().map(cpu_seconds).transpose();
    let before = (server(subject)?, own_cpu_seconds());
    let began = Instant::now();
    let rows = tokio::time::timeout(RUN, subject.run())
        .await
        .context("took too long")??;
    let wall = began.elapsed().as_secs_f64();
    let after = (server(subject)?, own_cpu_seconds());
    if wall <= 0.0 {
        bail!("took no time");
    }
    let server = after.0.unwrap_or_default() - before.0.unwrap_or_default();
    Ok(Sample {
        wall,
        cpu: Cpu {
            server,
            client: after.1 - before.1,
        },
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Turn(&'static str, Arc<Mutex<String>>);

    #[async_trait]
    impl Subject for Turn {
        fn name(&self) -> &str {
            self.0
        }

        fn server(&self) -> Option<u32> {
            None
        }

        async fn run(&mut self) -> Result<u64> {
            self.1.lock().unwrap().push_str(self.0);
            if self.0 == "C" {
                bail!("no");
            }
            Ok(1)
        }
    }

    #[tokio::test]
    async fn subjects_take_turns_forwards_and_backwards_and_a_failed_one_is_left_alone() {
        let order = Arc::new(Mutex::new(String::new()));
        let turn = |name| Box::new(Turn(name, Arc::clone(&order))) as Box<dyn Subject>;
        let all = rounds(&mut [turn("A"), turn("B"), turn("C")], 3).await;
        assert_eq!(*order.lock().unwrap(), "ABCBAAB");
        assert_eq!((all[0].samples.len(), all[2].failure.as_deref()), (3, Some("no")));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }
}
