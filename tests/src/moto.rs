//! A real S3 service for tests: `moto[server]`, in memory, on a free port of loopback. It goes with the value.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::gateway::free_address;
use crate::python;

/// How long it may take to answer first.
const READY: Duration = Duration::from_secs(60);

/// The service.
#[derive(Debug)]
pub struct Moto {
    /// `127.0.0.1:PORT`
    pub address: String,
    process: Child,
}

impl Moto {
    /// Starts the service with one empty bucket, `lake`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start() -> Result<Self> {
        let address = free_address()?;
        let port = address.rsplit(':').next().context("a port")?;
        let process = Command::new(python::program("moto_server")?)
            .args(["-H", "127.0.0.1", "-p", port])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start moto")?;
        let moto = Self { address, process };
        let deadline = Instant::now() + READY;
        while let Err(error) = moto.put("lake", Vec::new()).await {
            if Instant::now() > deadline {
                bail!("moto does not answer: {error:#}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(moto)
    }

    /// Makes a bucket, or an object `BUCKET/KEY`. The service checks no keys.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Result<()> {
        let url = format!("http://{}/{path}", self.address);
        reqwest::Client::new()
            .put(url)
            .body(body)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
