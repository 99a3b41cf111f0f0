//! A real Iceberg REST catalog for tests: Nessie, in memory, on a free port of loopback, with its warehouse in the bucket of a
//! [`Moto`], for which it lends credentials. It goes with the value.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::gateway::free_address;
use crate::moto::Moto;
use crate::python;

/// How long it may take to answer first.
const READY: Duration = Duration::from_secs(180);

/// The catalog.
#[derive(Debug)]
pub struct Nessie {
    /// `http://127.0.0.1:PORT/iceberg/`
    pub url: String,
    process: Child,
    folder: TempDir,
}

impl Nessie {
    /// Starts the catalog over the bucket `lake` of `moto`.
    ///
    /// # Errors
    /// What to install, or when it does not answer.
    pub async fn start(moto: &Moto) -> Result<Self> {
        let jar = python::lake_cache().join("nessie.jar");
        if !jar.exists() {
            bail!("no {}: run tests/install, which fetches it", jar.display());
        }
        let folder = TempDir::with_prefix("lakegate-nessie-")?;
        let address = free_address()?;
        let port = address.rsplit(':').next().context("a port")?;
        let s3 = "-Dnessie.catalog.service.s3.default-options";
        let store = &moto.address;
        let process = Command::new(python::java()?)
            .arg("-Xmx700m")
            .arg("-XX:TieredStopAtLevel=1")
            .arg("-Dquarkus.http.host=127.0.0.1")
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg("-Dquarkus.management.enabled=false")
            .arg("-Dquarkus.oidc.tenant-enabled=false")
            .arg("-Dnessie.server.authentication.enabled=false")
            .arg("-Dnessie.version.store.type=IN_MEMORY")
            .arg("-Dnessie.catalog.default-warehouse=lake")
            .arg("-Dnessie.catalog.warehouses.lake.location=s3://lake/nessie")
            .arg(format!("{s3}.endpoint=http://{store}/"))
            .arg(format!("{s3}.sts-endpoint=http://{store}/"))
            .arg(format!("{s3}.path-style-access=true"))
            .arg(format!("{s3}.region=us-east-1"))
            .arg(format!("{s3}.access-key=urn:nessie-secret:quarkus:lakegate.keys"))
            .arg("-Dlakegate.keys.name=lakeid")
            .arg("-Dlakegate.keys.secret=lakesecret")
            .arg(format!("{s3}.client-iam.enabled=true"))
            .arg(format!(
                "{s3}.client-iam.assume-role=arn:aws:iam::123456789012:role/lake"
            ))
            .arg("-jar")
            .arg(jar)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("log"))?)
            .stderr(Stdio::null())
            .spawn()
            .context("start Nessie")?;
        let mut nessie = Self {
            url: format!("http://{address}/iceberg/"),
            process,
            folder,
        };
        nessie.await_answer().await?;
        Ok(nessie)
    }

    async fn await_answer(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY;
        let url = format!("{}v1/config", self.url);
        loop {
            let answered = reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success());
            if answered {
                return Ok(());
            }
            if Instant::now() > deadline || self.process.try_wait()?.is_some() {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("Nessie does not answer:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Nessie {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
