//! Figures of the running system out of `/proc`: processor time, memory, and who else uses the machine.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context as _, Result};

/// Processors of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Ticks of a second in `/proc`, which the kernel tells every process at its start.
fn ticks() -> f64 {
    const CLOCK_TICKS: usize = 17;
    let auxiliary = fs::read("/proc/self/auxv").unwrap_or_default();
    let words: Vec<usize> = auxiliary
        .chunks_exact(size_of::<usize>())
        .filter_map(|bytes| Some(usize::from_ne_bytes(bytes.try_into().ok()?)))
        .collect();
    let found = words.chunks_exact(2).find(|pair| pair[0] == CLOCK_TICKS);
    found.map_or(100.0, |pair| pair[1] as f64)
}

/// The line of a process: its parent, and the ticks that it and its reaped children used.
struct Status {
    parent: u32,
    own: u64,
    reaped: u64,
}

fn status(id: u32) -> Option<Status> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows the last one is numbers, the state first.
    let (_, rest) = line.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse::<u64>().ok();
    Some(Status {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        reaped: number(13)? + number(14)?,
    })
}

/// Seconds of processor time that a process and all of its children have used.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    let top = status(id).with_context(|| format!("process {id} is gone"))?;
    let mut children: HashMap<u32, Vec<(u32, Status)>> = HashMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if let Some(found) = status(child) {
            children.entry(found.parent).or_default().push((child, found));
        }
    }
    let mut used = top.own + top.reaped;
    let mut waiting = vec![id];
    while let Some(parent) = waiting.pop() {
        for (child, found) in children.remove(&parent).unwrap_or_default() {
            used += found.own + found.reaped;
            waiting.push(child);
        }
    }
    Ok(used as f64 / ticks())
}

/// Seconds of processor time that this process itself has used, without its children.
pub fn own_cpu_seconds() -> f64 {
    status(std::process::id()).map_or(0.0, |found| found.own as f64 / ticks())
}

/// Bytes of memory that belong to a process, pages shared with others in proportion.
///
/// # Errors
/// When the process is gone or the kernel does not tell.
pub fn pss_bytes(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .context("no Pss line")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}

/// Processor seconds of the whole machine since it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine {
    /// Used by anything at all.
    pub busy: f64,
    /// Given to other machines of the same host.
    pub stolen: f64,
}

/// The machine now.
///
/// # Errors
/// When `/proc/stat` cannot be read.
pub fn machine() -> Result<Machine> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("cpu "))
        .context("no cpu line")?;
    let columns: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let column = |at: usize| columns.get(at).copied().unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = column(0) + column(1) + column(2) + column(5) + column(6);
    Ok(Machine {
        busy: busy / ticks(),
        stolen: column(7) / ticks(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_the_machine() {
        assert!(ticks() >= 1.0);
        let before = cpu_seconds(std::process::id()).unwrap();
        let mut number = 1_u64;
        for step in 0..80_000_000_u64 {
            number = std::hint::black_box(number.wrapping_mul(step | 1));
        }
        assert!(cpu_seconds(std::process::id()).unwrap() > before, "{number}");
        assert!(pss_bytes(std::process::id()).unwrap() > 100_000);
        assert!(machine().unwrap().busy > 0.0);
    }
}
