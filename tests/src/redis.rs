//! A Redis server of a test's own: on a free port of this machine, in memory alone, with a password.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::gateway::free_address;

const PASSWORD: &str = "redis-canary";

/// How long a start may take.
const READY: Duration = Duration::from_secs(30);

/// The server; it ends with the value.
#[derive(Debug)]
pub struct Redis {
    process: Option<Child>,
    port: String,
    /// Its URL, password included.
    pub url: String,
}

impl Redis {
    /// Starts one. It keeps nothing on disk.
    pub fn start() -> Result<Self> {
        let address = free_address()?;
        let (_, port) = address.rsplit_once(':').context("a port")?;
        let mut redis = Self {
            process: None,
            port: port.to_owned(),
            url: format!("redis://:{PASSWORD}@127.0.0.1:{port}/0"),
        };
        redis.restart()?;
        Ok(redis)
    }

    /// Starts it again on the same port, empty.
    pub fn restart(&mut self) -> Result<()> {
        let words = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ];
        let mut process = Command::new("redis-server")
            .args(["--port", &self.port, "--requirepass", PASSWORD])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting redis-server; tests/install installs it")?;
        let deadline = Instant::now() + READY;
        while TcpStream::connect(format!("127.0.0.1:{}", self.port)).is_err() {
            if process.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("redis-server does not start");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when the process is gone already.
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// The names of all keys in it.
    pub fn keys(&self) -> Vec<String> {
        let text = self.ask(&["--scan"], &[]);
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::to_owned).collect()
    }

    /// The value of a key, which is there.
    pub fn get(&self, key: &str) -> Vec<u8> {
        let mut value = self.ask(&["get", key], &[]);
        // redis-cli ends every answer with a line.
        value.pop();
        value
    }

    /// Puts a value.
    pub fn set(&self, key: &str, value: &[u8]) {
        self.ask(&["-x", "set", key], value);
    }

    fn ask(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        let mut client = Command::new("redis-cli")
            .args(["-p", &self.port, "-a", PASSWORD, "--no-auth-warning"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli");
        let mut stdin = client.stdin.take().expect("its input");
        stdin.write_all(input).expect("room for the value");
        drop(stdin);
        client.wait_with_output().expect("its answer").stdout
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
