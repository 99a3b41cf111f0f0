//! The stores as Iceberg's own writers use them: a [`FileIO`] over the source's buckets.
//!
//! Invariants:
//! - Only what lies below a root of the source is read, written or deleted.
//! - A metadata file is written once: where one is there already, the write fails.

use super::Storage;
use crate::Error;
use crate::iceberg::location::{Location, Scheme};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile,
    Storage as IcebergStorage, StorageConfig, StorageFactory,
};
use iceberg::{ErrorKind, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// What a part of an upload holds, in bytes; a smaller file is one request.
const PART_BYTES: usize = 8 << 20;
/// Parts of one upload that are under way at once.
const PARTS_AT_ONCE: usize = 4;

/// Files of a source as Iceberg's own code reads and writes them.
pub(in crate::iceberg) fn file_io(storage: &Storage) -> FileIO {
    if storage
        .roots
        .iter()
        .all(|root| root.location.scheme == Scheme::File)
    {
        return FileIO::new_with_fs();
    }
    let factory = Door {
        storage: Some(storage.clone()),
    };
    FileIOBuilder::new(Arc::new(factory)).build()
}

/// The door to the stores. One that has travelled as text opens nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Door {
    #[serde(skip)]
    storage: Option<Storage>,
}

#[typetag::serde(name = "lakegate")]
impl StorageFactory for Door {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn IcebergStorage>> {
        Ok(Arc::new(self.clone()))
    }
}

type Place = (Arc<dyn ObjectStore>, Path);

impl Door {
    async fn place(&self, location: &str) -> Result<Place> {
        let closed = || iceberg::Error::new(ErrorKind::FeatureUnsupported, "stores that have travelled");
        let storage = self.storage.as_ref().ok_or_else(closed)?;
        let outside = || {
            iceberg::Error::new(
                ErrorKind::DataInvalid,
                format!("{location} is outside of the lake"),
            )
        };
        let parsed = Location::parse(location).ok_or_else(outside)?;
        let found = storage
            .roots
            .iter()
            .find_map(|root| Some((root, root.key_of(&parsed)?)));
        let (root, key) = found.ok_or_else(outside)?;
        let (store, _) = storage.store(&root.home, None).await.map_err(foreign)?;
        Ok((store, key))
    }
}

fn foreign(error: Error) -> iceberg::Error {
    iceberg::Error::new(ErrorKind::Unexpected, error.to_string()).with_source(error)
}

fn failed(error: object_store::Error) -> iceberg::Error {
    let kind = match &error {
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            ErrorKind::PreconditionFailed
        }
        object_store::Error::NotFound { .. } => ErrorKind::DataInvalid,
        _ => ErrorKind::Unexpected,
    };
    iceberg::Error::new(kind, "the store failed").with_source(error)
}

#[async_trait]
#[typetag::serde(name = "lakegate")]
impl IcebergStorage for Door {
    async fn exists(&self, path: &str) -> Result<bool> {
        let (store, key) = self.place(path).await?;
        match store.head(&key).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let (store, key) = self.place(path).await?;
        let size = store.head(&key).await.map_err(failed)?.size;
        Ok(FileMetadata { size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        let (store, key) = self.place(path).await?;
        let got = store.get(&key).await.map_err(failed)?;
        got.bytes().await.map_err(failed)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        let (store, key) = self.place(path).await?;
        Ok(Box::new(Reader { store, key }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let (store, key) = self.place(path).await?;
        let mode = match path.ends_with(".metadata.json") {
            true => PutMode::Create,
            false => PutMode::Overwrite,
        };
        store
            .put_opts(&key, bytes.into(), mode.into())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let (store, key) = self.place(path).await?;
        Ok(Box::new(Writer {
            store,
            key,
            held: Vec::new(),
            upload: None,
            is_closed: false,
        }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let (store, key) = self.place(path).await?;
        match store.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        let (store, key) = self.place(path).await?;
        let found = store.list(Some(&key)).map_ok(|found| found.location).boxed();
        store
            .delete_stream(found)
            .try_collect::<Vec<_>>()
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

struct Reader {
    store: Arc<dyn ObjectStore>,
    key: Path,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.store.get_range(&self.key, range).await.map_err(failed)
    }
}

/// A file under way. It is there as a whole when it is closed, or not at all.
struct Writer {
    store: Arc<dyn ObjectStore>,
    key: Path,
    held: Vec<u8>,
    upload: Option<WriteMultipart>,
    is_closed: bool,
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.held.extend_from_slice(&bytes);
        if self.held.len() < PART_BYTES {
            return Ok(());
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let begun = self.store.put_multipart(&self.key).await.map_err(failed)?;
                self.upload
                    .insert(WriteMultipart::new_with_chunk_size(begun, PART_BYTES))
            }
        };
        upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)?;
        upload.put(std::mem::take(&mut self.held).into());
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Err(iceberg::Error::new(
                ErrorKind::Unexpected,
                "the file is closed already",
            ));
        }
        let held = Bytes::from(std::mem::take(&mut self.held));
        match self.upload.take() {
            None => self.store.put(&self.key, PutPayload::from(held)).await.map(drop),
            Some(mut upload) => {
                upload.put(held);
                upload.finish().await.map(drop)
            }
        }
        .map_err(failed)
    }
}
