//! Builds one snapshot on one state of a table: manifests, manifest list, summary, and what the catalog is asked to swap.

use std::collections::{HashMap, HashSet};

use iceberg::io::FileIO;
use iceberg::spec::{
    DataFile, FormatVersion, MAIN_BRANCH, Manifest, ManifestContentType, ManifestEntry, ManifestFile,
    ManifestListWriter, ManifestStatus, ManifestWriter, ManifestWriterBuilder, Operation, Snapshot,
    SnapshotReference, SnapshotRetention, Summary,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use super::facts::{self, EPOCH_KEY, POSITIONS_KEY};
use super::kernel::{Change, Commit, Removal};
use super::{TOKEN_KEY, failed};
use crate::error::{Error, Result};
use crate::storage;

/// Live entries from which a manifest is large enough to be left alone by a merge. An entry takes about a hundred bytes.
const ENTRIES_FULL: usize = 5_000;

/// What a catalog is asked for, and the files that nobody will need if it says no.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) requirements: Vec<TableRequirement>,
    pub(super) updates: Vec<TableUpdate>,
    pub(super) litter: Vec<String>,
}

/// Removes the metadata files of a try that was not published.
pub(super) async fn sweep(base: &Table, litter: &[String]) {
    for path in litter {
        if let Err(error) = base.file_io().delete(path).await {
            tracing::warn!(path, %error, "an orphan metadata file stays");
        }
    }
}

/// Writes the metadata of `commit` on `base`. After an error nothing of it is left.
pub(super) async fn draft(base: &Table, commit: &Commit, manifests_max: usize) -> Result<Draft> {
    let mut work = Work {
        base,
        commit,
        attempt: uuid::Uuid::now_v7(),
        litter: Vec::new(),
        removed: Vec::new(),
    };
    match work.build(manifests_max).await {
        Ok((requirements, updates)) => Ok(Draft {
            requirements,
            updates,
            litter: work.litter,
        }),
        Err(error) => {
            sweep(base, &work.litter).await;
            Err(error)
        }
    }
}

struct Work<'a> {
    base: &'a Table,
    commit: &'a Commit,
    attempt: uuid::Uuid,
    litter: Vec<String>,
    removed: Vec<DataFile>,
}

impl Work<'_> {
    async fn build(&mut self, manifests_max: usize) -> Result<(Vec<TableRequirement>, Vec<TableUpdate>)> {
        let (operation, added) = match &self.commit.change {
            Change::Append(files) => (Operation::Append, files),
            Change::Overwrite { add, .. } => (Operation::Overwrite, add),
            Change::Replace { add, .. } => (Operation::Replace, add),
        };
        let mut manifests = self.kept().await?;
        manifests = self.merged(manifests, manifests_max).await?;
        if !added.is_empty() {
            manifests.push(self.added(added).await?);
        }
        self.check_replacement(added)?;
        let list = self.list(&manifests).await?;
        let metadata = self.base.metadata();
        let summary = Summary {
            operation,
            additional_properties: self.summary(added),
        };
        let now = chrono::Utc::now().timestamp_millis();
        let parent = metadata.current_snapshot();
        let snapshot = Snapshot::builder()
            .with_manifest_list(list)
            .with_snapshot_id(self.commit.snapshot_id)
            .with_parent_snapshot_id(metadata.current_snapshot_id())
            .with_sequence_number(metadata.next_sequence_number())
            .with_summary(summary)
            .with_schema_id(metadata.current_schema_id())
            // Readers of the history go by time: a clock that was set back must not turn it around.
            .with_timestamp_ms(parent.map_or(now, |parent| now.max(parent.timestamp_ms())))
            .build();
        let requirements = vec![
            TableRequirement::UuidMatch {
                uuid: self.commit.table_uuid,
            },
            TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN_BRANCH.to_owned(),
                snapshot_id: metadata.current_snapshot_id(),
            },
        ];
        let updates = vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.to_owned(),
                reference: SnapshotReference::new(
                    self.commit.snapshot_id,
                    SnapshotRetention::branch(None, None, None),
                ),
            },
        ];
        Ok((requirements, updates))
    }

    /// The manifests of the base that live on, those with files that go written anew.
    async fn kept(&mut self) -> Result<Vec<ManifestFile>> {
        let base = self.base;
        let Some(snapshot) = base.metadata().current_snapshot() else {
            return Ok(Vec::new());
        };
        let list = base.manifest_list_reader(snapshot).load().await;
        let list = list.map_err(|error| self.failed(error))?;
        let mut kept = Vec::new();
        // Collected first: the iterator cannot be held while we wait.
        let manifests: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
        for manifest in manifests {
            if manifest.content == ManifestContentType::Deletes {
                return Err(Error::Foreign {
                    table: self.commit.table.to_string(),
                    feature: "delete files",
                });
            }
            // A manifest of dead entries alone has told its snapshot what went; the next one does without it.
            if !manifest.has_added_files() && !manifest.has_existing_files() {
                continue;
            }
            match &self.commit.change {
                Change::Append(_) => kept.push(manifest),
                change => kept.extend(self.without(manifest, change).await?),
            }
        }
        Ok(kept)
    }

    /// A manifest without the files that `change` takes out; the same manifest when it has none of them.
    async fn without(&mut self, manifest: ManifestFile, change: &Change) -> Result<Option<ManifestFile>> {
        let loaded = load(self.base.file_io(), &manifest).await;
        let loaded = loaded.map_err(|error| self.failed(error))?;
        let spec = manifest.partition_spec_id;
        let default = self.base.metadata().default_partition_spec_id();
        let goes = |entry: &ManifestEntry| match change {
            Change::Append(_) => false,
            Change::Overwrite { remove, .. } => match remove {
                Removal::All => true,
                Removal::Partitions(values) => {
                    spec == default && values.contains(entry.data_file().partition())
                }
            },
            Change::Replace { remove, .. } => remove.iter().any(|path| path == entry.file_path()),
        };
        let alive = || loaded.entries().iter().filter(|entry| entry.is_alive());
        if !alive().any(|entry| goes(entry)) {
            return Ok(Some(manifest));
        }
        let mut writer = self.writer(spec)?;
        for entry in alive() {
            let file = entry.data_file().clone();
            let sequence = entry.sequence_number().unwrap_or_default();
            let added = if goes(entry) {
                self.removed.push(file.clone());
                writer.add_delete_file(file, sequence, entry.file_sequence_number)
            } else {
                let of = entry.snapshot_id().unwrap_or(manifest.added_snapshot_id);
                writer.add_existing_file(file, of, sequence, entry.file_sequence_number)
            };
            added.map_err(|error| self.failed(error))?;
        }
        self.finish(writer).await.map(Some)
    }

    /// The manifests, the small ones of each spec written as one when there are too many. Entries that are dead are left out.
    async fn merged(&mut self, manifests: Vec<ManifestFile>, max: usize) -> Result<Vec<ManifestFile>> {
        if manifests.len() < max.max(2) {
            return Ok(manifests);
        }
        let (small, mut result): (Vec<_>, Vec<_>) = manifests.into_iter().partition(|manifest| {
            let live = manifest.added_files_count.unwrap_or(0) + manifest.existing_files_count.unwrap_or(0);
            // What this commit has written stays apart: it tells which files went.
            (live as usize) < ENTRIES_FULL && manifest.added_snapshot_id != self.commit.snapshot_id
        });
        let mut by_spec: HashMap<i32, Vec<ManifestFile>> = HashMap::new();
        for manifest in small {
            by_spec
                .entry(manifest.partition_spec_id)
                .or_default()
                .push(manifest);
        }
        for (spec, group) in by_spec {
            if group.len() < 2 {
                result.extend(group);
                continue;
            }
            let mut writer = self.writer(spec)?;
            for manifest in &group {
                let loaded = load(self.base.file_io(), manifest).await;
                let loaded = loaded.map_err(|error| self.failed(error))?;
                for entry in loaded.entries().iter().filter(|entry| entry.is_alive()) {
                    let of = entry.snapshot_id().unwrap_or(manifest.added_snapshot_id);
                    let sequence = entry.sequence_number().unwrap_or_default();
                    writer
                        .add_existing_file(
                            entry.data_file().clone(),
                            of,
                            sequence,
                            entry.file_sequence_number,
                        )
                        .map_err(|error| self.failed(error))?;
                }
            }
            result.push(self.finish(writer).await?);
        }
        Ok(result)
    }

    async fn added(&mut self, files: &[DataFile]) -> Result<ManifestFile> {
        let mut writer = self.writer(self.base.metadata().default_partition_spec_id())?;
        for file in files {
            // A negative number stands for the one that the commit gets.
            writer
                .add_file(file.clone(), -1)
                .map_err(|error| self.failed(error))?;
        }
        self.finish(writer).await
    }

    /// A replacement changes files, never rows.
    fn check_replacement(&self, added: &[DataFile]) -> Result<()> {
        let Change::Replace { remove, .. } = &self.commit.change else {
            return Ok(());
        };
        let found: HashSet<&str> = self.removed.iter().map(DataFile::file_path).collect();
        if let Some(missing) = remove.iter().find(|path| !found.contains(path.as_str())) {
            return Err(Error::Gone {
                table: self.commit.table.to_string(),
                path: missing.clone(),
            });
        }
        let rows = |files: &[DataFile]| files.iter().map(DataFile::record_count).sum::<u64>();
        if rows(added) != rows(&self.removed) {
            return Err(Error::Count {
                table: self.commit.table.to_string(),
                place: "in the files of a replacement",
                found: rows(added),
                expected: rows(&self.removed),
            });
        }
        Ok(())
    }

    fn writer(&mut self, spec_id: i32) -> Result<ManifestWriter> {
        let metadata = self.base.metadata();
        let spec = metadata.partition_spec_by_id(spec_id).ok_or_else(|| {
            self.failed(iceberg::Error::new(
                iceberg::ErrorKind::DataInvalid,
                format!("the table has no partition spec {spec_id}"),
            ))
        })?;
        let path = self.path(&format!("{}-m{}.avro", self.attempt, self.litter.len()));
        let output = self.base.file_io().new_output(&path);
        let output = output.map_err(|error| self.failed(error))?;
        self.litter.push(path);
        let builder = ManifestWriterBuilder::new(
            output,
            Some(self.commit.snapshot_id),
            std::sync::Arc::clone(metadata.current_schema()),
            spec.as_ref().clone(),
        );
        match metadata.format_version() {
            FormatVersion::V2 => Ok(builder.build_v2_data()),
            FormatVersion::V1 | FormatVersion::V3 => Err(Error::Foreign {
                table: self.commit.table.to_string(),
                feature: "another format version than 2",
            }),
        }
    }

    async fn finish(&self, writer: ManifestWriter) -> Result<ManifestFile> {
        let written = writer.write_manifest_file().await;
        let manifest = written.map_err(|error| self.failed(error))?;
        storage::sync(&manifest.manifest_path).await?;
        Ok(manifest)
    }

    async fn list(&mut self, manifests: &[ManifestFile]) -> Result<String> {
        let metadata = self.base.metadata();
        let path = self.path(&format!(
            "snap-{}-0-{}.avro",
            self.commit.snapshot_id, self.attempt
        ));
        self.litter.push(path.clone());
        let written = async {
            let output = self.base.file_io().new_output(&path)?.writer().await?;
            let mut writer = ManifestListWriter::v2(
                output,
                self.commit.snapshot_id,
                metadata.current_snapshot_id(),
                metadata.next_sequence_number(),
            );
            writer.add_manifests(manifests.iter().cloned())?;
            writer.close().await
        };
        written.await.map_err(|error| self.failed(error))?;
        storage::sync(&path).await?;
        Ok(path)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/metadata/{name}", self.base.metadata().location())
    }

    fn failed(&self, error: iceberg::Error) -> Error {
        failed("append to", &self.commit.table, error)
    }

    /// Iceberg's own counters, which other engines trust, and ours.
    fn summary(&self, added: &[DataFile]) -> HashMap<String, String> {
        let metadata = self.base.metadata();
        let mut summary: HashMap<String, String> = self.commit.facts.clone().into_iter().collect();
        summary.insert(TOKEN_KEY.to_owned(), self.commit.token.to_string());
        summary.insert(EPOCH_KEY.to_owned(), self.commit.epoch.to_string());
        let mut positions = facts::positions(metadata);
        for advance in &self.commit.advances {
            positions.insert(advance.source.clone(), advance.to.clone());
        }
        if !positions.is_empty() {
            summary.insert(POSITIONS_KEY.to_owned(), facts::printed(&positions));
        }
        let parent = metadata.current_snapshot();
        let before = |key: &str| parent.map_or(0, |parent| facts::number(parent, key));
        let records = |files: &[DataFile]| files.iter().map(DataFile::record_count).sum::<u64>();
        let bytes = |files: &[DataFile]| files.iter().map(DataFile::file_size_in_bytes).sum::<u64>();
        let counters = [
            ("data-files", added.len() as u64, self.removed.len() as u64),
            ("records", records(added), records(&self.removed)),
            ("files-size", bytes(added), bytes(&self.removed)),
        ];
        for (name, plus, minus) in counters {
            let gone = if name == "files-size" {
                "removed"
            } else {
                "deleted"
            };
            let total = before(&format!("total-{name}")) + plus;
            summary.insert(format!("total-{name}"), total.saturating_sub(minus).to_string());
            for (key, count) in [(format!("added-{name}"), plus), (format!("{gone}-{name}"), minus)] {
                if count > 0 {
                    summary.insert(key, count.to_string());
                }
            }
        }
        for name in [
            "total-delete-files",
            "total-position-deletes",
            "total-equality-deletes",
        ] {
            summary.insert(name.to_owned(), "0".to_owned());
        }
        let partitions: HashSet<_> = added
            .iter()
            .chain(&self.removed)
            .map(DataFile::partition)
            .collect();
        if !partitions.is_empty() {
            summary.insert("changed-partition-count".to_owned(), partitions.len().to_string());
        }
        summary
    }
}

async fn load(io: &FileIO, manifest: &ManifestFile) -> iceberg::Result<Manifest> {
    manifest.load_manifest(io).await
}

/// The files that a snapshot added itself, for a reader that goes from snapshot to snapshot. None for a snapshot that only rearranged rows.
pub(crate) async fn added_files(
    table: &Table,
    snapshot: &iceberg::spec::SnapshotRef,
) -> iceberg::Result<Vec<DataFile>> {
    if snapshot.summary().operation == Operation::Replace {
        return Ok(Vec::new());
    }
    let id = snapshot.snapshot_id();
    let list = table.manifest_list_reader(snapshot).load().await?;
    let mut files = Vec::new();
    for manifest in list.entries() {
        if manifest.added_snapshot_id != id || !manifest.has_added_files() {
            continue;
        }
        let loaded = manifest.load_manifest(table.file_io()).await?;
        files.extend(
            loaded
                .entries()
                .iter()
                .filter(|entry| entry.status() == ManifestStatus::Added && entry.snapshot_id() == Some(id))
                .map(|entry| entry.data_file().clone()),
        );
    }
    Ok(files)
}

/// The live files of a table's newest snapshot.
pub(crate) async fn live_files(table: &Table) -> iceberg::Result<Vec<DataFile>> {
    let Some(snapshot) = table.metadata().current_snapshot() else {
        return Ok(Vec::new());
    };
    let list = table.manifest_list_reader(snapshot).load().await?;
    let mut files = Vec::new();
    for manifest in list.entries() {
        let loaded = manifest.load_manifest(table.file_io()).await?;
        let live = loaded.entries().iter().filter(|entry| entry.is_alive());
        files.extend(live.map(|entry| entry.data_file().clone()));
    }
    Ok(files)
}
