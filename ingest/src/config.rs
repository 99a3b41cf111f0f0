//! The bounds of the append path.

use crate::error::{Error, Result};

/// How files are cut and how much memory an append may take. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A file is closed once it has this many bytes; it may overshoot by one batch.
    pub file_bytes_target: usize,
    /// A row group ends at this many rows.
    pub row_group_rows_max: usize,
    /// A row group ends at about this many bytes.
    pub row_group_bytes_max: usize,
    /// Unwritten rows and column buffers of all open files of one append together. At the limit the largest row group is closed early,
    /// so a table with very many open partitions gets smaller row groups, not a larger process.
    pub memory_max: usize,
    /// Files open at once in one append; at the limit the file that rested longest is closed.
    pub files_open_max: usize,
    /// Threads that encode Parquet for one append.
    pub lanes: usize,
    /// The zstd level of data files, 1 to 22.
    pub zstd_level: i32,
    /// How often a commit is tried when others commit at the same time.
    pub commit_attempts_max: usize,
    /// Manifests from which a commit merges the small ones of them into one.
    pub manifests_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file_bytes_target: 256 << 20,
            row_group_rows_max: 1 << 20,
            row_group_bytes_max: 128 << 20,
            memory_max: 512 << 20,
            files_open_max: 256,
            lanes: 2,
            zstd_level: 3,
            commit_attempts_max: 10,
            manifests_max: 100,
        }
    }
}

impl Config {
    /// Refuses bounds that cannot work; the error names the key.
    pub fn validate(&self) -> Result<()> {
        let zero = [
            ("file_bytes_target", self.file_bytes_target),
            ("row_group_rows_max", self.row_group_rows_max),
            ("row_group_bytes_max", self.row_group_bytes_max),
            ("memory_max", self.memory_max),
            ("files_open_max", self.files_open_max),
            ("lanes", self.lanes),
            ("commit_attempts_max", self.commit_attempts_max),
            ("manifests_max", self.manifests_max),
        ];
        if let Some((key, _)) = zero.iter().find(|(_, value)| *value == 0) {
            return Err(Error::Config {
                key,
                problem: "must be larger than zero",
            });
        }
        if parquet::basic::ZstdLevel::try_new(self.zstd_level).is_err() {
            return Err(Error::Config {
                key: "zstd_level",
                problem: "must be between 1 and 22",
            });
        }
        if self.lanes > self.files_open_max {
            return Err(Error::Config {
                key: "lanes",
                problem: "must not be larger than files_open_max",
            });
        }
        Ok(())
    }
}

/// The value of a variable of the environment, for references to secrets. The one place of this crate that reads it.
#[expect(
    clippy::disallowed_methods,
    reason = "the crate's one door to the environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_zero_is_not() {
        Config::default().validate().unwrap();
        let broken = Config {
            lanes: 0,
            ..Config::default()
        };
        assert!(broken.validate().unwrap_err().to_string().contains("lanes"));
        let broken = Config {
            zstd_level: 40,
            ..Config::default()
        };
        assert!(broken.validate().unwrap_err().to_string().contains("zstd_level"));
    }
}
