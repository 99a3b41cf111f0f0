//! Where things are: the gateway's binary, the cache folder with everything that is made once, the queries.
//!
//! Invariant: what is made lies under the cache folder; only a report is written into the repository.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The TPC-H tables that the sample lake has.
pub const TABLES: [&str; 8] = [
    "region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem",
];

/// The folders and files of one run.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
    cache: PathBuf,
    /// The gateway under the clock.
    pub gateway: PathBuf,
    /// The TPC-H scale of the data.
    pub scale: f64,
}

impl Place {
    /// The places of a run at `scale`: `LAKEGATE_BIN` or the `lakegate` beside this program, and `LAKEGATE_CACHE` or
    /// `lakegate` in the user's cache folder.
    ///
    /// # Errors
    /// When there is no gateway or no cache folder.
    pub fn find(scale: f64) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the crate lies in the workspace")?;
        let gateway = match env::var_os("LAKEGATE_BIN") {
            Some(named) => named.into(),
            None => env::current_exe()?.with_file_name("lakegate"),
        };
        if !gateway.exists() {
            bail!("no gateway beside the bench; `make bench` builds both, LAKEGATE_BIN names another one");
        }
        let cache = match (
            env::var_os("LAKEGATE_CACHE"),
            env::var_os("XDG_CACHE_HOME"),
            env::var_os("HOME"),
        ) {
            (Some(named), _, _) => PathBuf::from(named),
            (None, Some(all), _) => PathBuf::from(all).join("lakegate"),
            (None, None, Some(home)) => PathBuf::from(home).join(".cache").join("lakegate"),
            (None, None, None) => bail!("no HOME and no LAKEGATE_CACHE, so nowhere to keep the data"),
        };
        let cache = cache.join("bench");
        fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
        let root = root.to_path_buf();
        Ok(Self {
            root,
            cache,
            gateway,
            scale,
        })
    }

    /// The quickstart's folder: lake, users, passwords.
    pub fn lake(&self) -> PathBuf {
        self.cache.join(format!("lake-{}", self.scale))
    }

    /// A folder with a flat folder of Parquet files for each table: the lake's own data files under other names.
    pub fn parquet(&self) -> PathBuf {
        self.cache.join(format!("parquet-{}", self.scale))
    }

    /// Where Python environments lie.
    pub fn environments(&self) -> PathBuf {
        self.cache.clone()
    }

    /// Where processes log to; the logs of the last run only.
    pub fn logs(&self) -> PathBuf {
        self.cache.join("logs")
    }

    /// A file of this crate's `peers` folder.
    pub fn peer(&self, name: &str) -> PathBuf {
        self.root.join("benches").join("peers").join(name)
    }

    /// The folder of the reports.
    pub fn results(&self) -> PathBuf {
        self.root.join("benches").join("results")
    }

    /// The text of a TPC-H query, 1 to 22: the file that the tests run too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn query(&self, number: usize) -> Result<String> {
        let path = self
            .root
            .join("tests")
            .join("sql")
            .join("tpch")
            .join(format!("q{number:02}.sql"));
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// The commit of the working copy, from git's own files; `unknown` outside of a repository.
    pub fn commit(&self) -> String {
        head(&self.root.join(".git")).unwrap_or_else(|| "unknown".to_owned())
    }
}

/// What `HEAD` of a repository's folder points to.
fn head(git: &Path) -> Option<String> {
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned());
    };
    if let Ok(commit) = fs::read_to_string(git.join(reference)) {
        return Some(commit.trim().to_owned());
    }
    let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| {
        line.strip_suffix(reference)?
            .split_whitespace()
            .next()
            .map(str::to_owned)
    })
}
