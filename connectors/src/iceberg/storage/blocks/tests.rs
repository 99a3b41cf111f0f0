use super::*;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

fn cache(bytes_max: u64) -> (tempfile::TempDir, Blocks) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        cache_bytes_max: bytes_max,
        cache_block_bytes: 4096,
        ..Config::default()
    };
    let blocks = Blocks::open(&dir.path().join("blocks"), &config).unwrap();
    (dir, blocks)
}

fn content(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ seed).collect()
}

fn files(dir: &tempfile::TempDir) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir.path().join("blocks")).unwrap();
    let paths = all.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some()).collect()
}

#[tokio::test]
async fn ranges_are_those_of_the_file_and_read_once() {
    let (dir, blocks) = cache(1 << 20);
    let memory = Arc::new(InMemory::new());
    let (a, bytes) = (Path::from("t/a"), content(0, 50_000));
    memory.put(&a, bytes.clone().into()).await.unwrap();
    let store = blocks.over("one", Arc::clone(&memory) as _);
    for range in [
        0..10,
        4090..4100,
        0..50_000,
        49_990..50_000,
        20_000..45_000,
        8192..12_288,
    ] {
        let (start, end) = (range.start as usize, range.end as usize);
        assert_eq!(
            store.get_range(&a, range.clone()).await.unwrap(),
            bytes[start..end],
            "{range:?}"
        );
    }
    let ranges = store.get_ranges(&a, &[5..6, 7..7, 40_000..40_001]).await.unwrap();
    assert_eq!(
        ranges,
        [bytes[5..6].to_vec(), vec![], bytes[40_000..40_001].to_vec()]
    );
    let kept = blocks.kept();
    assert_eq!(kept.misses, 13, "a block for each 4 KiB, each once: {kept:?}");
    assert_eq!(files(&dir).len(), 13);
    assert_eq!(
        store.get_range(&a, 49_000..60_000).await.unwrap(),
        bytes[49_000..]
    );
    assert!(store.get_range(&a, 60_000..60_001).await.is_err());
    let lost = store.get_range(&Path::from("t/none"), 0..1).await.unwrap_err();
    assert!(matches!(lost, object_store::Error::NotFound { .. }), "{lost}");
}

#[tokio::test]
async fn one_path_in_two_stores_is_two_files() {
    let (_dir, blocks) = cache(1 << 20);
    let (one, two) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
    let a = Path::from("t/a");
    one.put(&a, content(1, 100).into()).await.unwrap();
    two.put(&a, content(2, 100).into()).await.unwrap();
    let (first, second) = (blocks.over("one", one), blocks.over("two", two));
    assert_eq!(first.get_range(&a, 0..100).await.unwrap(), content(1, 100));
    assert_eq!(second.get_range(&a, 0..100).await.unwrap(), content(2, 100));
}

#[tokio::test]
async fn a_file_that_changed_is_read_anew_and_never_mixed() {
    let (_dir, blocks) = cache(1 << 20);
    let memory = Arc::new(InMemory::new());
    let a = Path::from("t/a");
    memory.put(&a, content(1, 10_000).into()).await.unwrap();
    let store = blocks.over("one", Arc::clone(&memory) as _);
    assert_eq!(store.get_range(&a, 0..10).await.unwrap(), content(1, 10));
    memory.put(&a, content(2, 10_000).into()).await.unwrap();
    // The first block is known and the last is not.
    assert_eq!(store.get_range(&a, 0..10_000).await.unwrap(), content(2, 10_000));
}

#[tokio::test]
async fn a_damaged_block_is_read_again() {
    let (dir, blocks) = cache(1 << 20);
    let memory = Arc::new(InMemory::new());
    let a = Path::from("t/a");
    memory.put(&a, content(0, 5_000).into()).await.unwrap();
    let store = blocks.over("one", memory);
    store.get_range(&a, 0..5_000).await.unwrap();
    for (at, file) in files(&dir).into_iter().enumerate() {
        match at {
            0 => std::fs::write(file, b"other").unwrap(),
            _ => std::fs::remove_file(file).unwrap(),
        }
    }
    assert_eq!(store.get_range(&a, 0..5_000).await.unwrap(), content(0, 5_000));
}

#[tokio::test]
async fn the_disk_takes_no_more_than_it_may() {
    let (dir, blocks) = cache(10 * 4096);
    let memory = Arc::new(InMemory::new());
    let a = Path::from("t/a");
    memory.put(&a, content(0, 100 * 4096).into()).await.unwrap();
    let store = blocks.over("one", memory);
    for block in 0..100 {
        store
            .get_range(&a, block * 4096..(block + 1) * 4096)
            .await
            .unwrap();
    }
    blocks.inner.index.run_pending_tasks().await;
    assert!(blocks.kept().bytes <= 10 * 4096, "{:?}", blocks.kept());
    assert!(files(&dir).len() <= 10, "{}", files(&dir).len());
}

#[tokio::test]
async fn a_folder_is_emptied_if_it_is_a_cache_and_refused_if_not() {
    let (dir, blocks) = cache(1 << 20);
    let folder = dir.path().join("blocks");
    let in_use = Blocks::open(&folder, &Config::default()).unwrap_err().to_string();
    assert!(in_use.contains("in use"), "{in_use}");
    drop(blocks);
    std::fs::write(folder.join("0000000000000001.block"), b"old").unwrap();
    Blocks::open(&folder, &Config::default()).unwrap();
    assert_eq!(files(&dir), Vec::<PathBuf>::new());
    std::fs::write(folder.join("thesis.txt"), b"mine").unwrap();
    let foreign = Blocks::open(&folder, &Config::default()).unwrap_err().to_string();
    assert!(foreign.contains("thesis.txt"), "{foreign}");
}
