//! Damage in the warehouse: the query that meets it names the file, every other query works.

use std::fs;
use std::path::{Path, PathBuf};

use tests::Gateway;
use tests::house::files;

/// The one file under the lake that lies in a folder of `table` and ends in `extension`, as `pick` chooses.
fn table_files(lake: &Path, table: &str, extension: &str) -> Vec<PathBuf> {
    let of_table = |path: &PathBuf| path.components().any(|part| part.as_os_str() == table);
    let found: Vec<PathBuf> = files(lake, extension).into_iter().filter(of_table).collect();
    assert!(
        !found.is_empty(),
        "no .{extension} file of {table} under {}",
        lake.display()
    );
    found
}

/// Overwrites the second half of a file, its Parquet footer among it.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("a readable file");
    let half = bytes.len() / 2;
    bytes[half..].fill(0xA5);
    fs::write(path, bytes).expect("a writable file");
}

#[tokio::test]
async fn a_corrupt_data_file_is_named_and_other_tables_are_read() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let victim = table_files(&gateway.directory, "region", "parquet").remove(0);
    damage(&victim);
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let refusal = flight
        .query("SELECT * FROM lake.gold.region")
        .await
        .expect_err("damage is told");
    assert!(refusal.message.contains("region"), "{refusal:?}");
    assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
    let nations = flight
        .query("SELECT count(*) FROM lake.gold.nation")
        .await
        .expect("an answer");
    assert_eq!(nations.cell(), "25");
    let refusal = gateway
        .rest("admin")
        .query("SELECT * FROM lake.gold.region")
        .await
        .expect_err("damage is told");
    assert!(
        refusal.message.contains("region") && refusal.code.starts_with('5'),
        "{refusal:?}"
    );
    assert_eq!(
        gateway
            .rest("admin")
            .query("SELECT 1")
            .await
            .expect("an answer")
            .cell(),
        "1"
    );
}

/// Turns some bits in the first pages of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("a readable file");
    let pages = bytes.len() / 3;
    for byte in &mut bytes[4..pages] {
        *byte ^= 0x5A;
    }
    fs::write(path, bytes).expect("a writable file");
}

#[tokio::test]
async fn flipped_bytes_inside_a_page_are_told_with_the_file() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let victim = table_files(&gateway.directory, "region", "parquet").remove(0);
    flip(&victim);
    let name = victim.file_name().expect("a name").to_string_lossy();
    let here = gateway.directory.to_string_lossy();
    let mut flight = gateway.flight("admin").await.expect("a connection");
    for sql in [
        "SELECT * FROM lake.gold.region",
        "SELECT max(r_name) FROM lake.gold.region",
    ] {
        let refusal = flight.query(sql).await.expect_err("damage is told");
        assert!(refusal.message.contains(name.as_ref()), "{refusal:?}");
        assert!(!refusal.message.contains(here.as_ref()), "{refusal:?}");
    }
    assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
}

#[tokio::test]
async fn a_lake_with_one_damaged_table_starts_and_only_that_table_fails() {
    let own = tempfile::TempDir::new().expect("a folder");
    let directory = own.path().join("lake");
    drop(Gateway::quickstart_in(&directory, 0.01).expect("a gateway"));
    for metadata in table_files(&directory, "nation", "json") {
        fs::write(metadata, "{").expect("a writable file");
    }
    let gateway = Gateway::quickstart_in(&directory, 0.01).expect("a gateway over what is left");
    assert!(gateway.log().contains("gold.nation"), "the damage is told");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let refusal = flight
        .query("SELECT * FROM lake.gold.nation")
        .await
        .expect_err("damage is told");
    assert!(refusal.message.contains("nation"), "{refusal:?}");
    assert!(
        !refusal
            .message
            .contains(directory.to_str().expect("a UTF-8 path")),
        "{refusal:?}"
    );
    let regions = flight
        .query("SELECT count(*) FROM lake.gold.region")
        .await
        .expect("an answer");
    assert_eq!(regions.cell(), "5");
    let listed = flight
        .query("SELECT count(*) FROM lake.information_schema.tables WHERE table_schema = 'gold'")
        .await
        .expect("an answer");
    assert_eq!(listed.cell(), "9");
}

#[tokio::test]
async fn a_missing_manifest_is_named_and_other_tables_are_read() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    for manifest in table_files(&gateway.directory, "nation", "avro") {
        fs::remove_file(manifest).expect("a removable file");
    }
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let refusal = flight
        .query("SELECT * FROM lake.gold.nation")
        .await
        .expect_err("damage is told");
    assert!(refusal.message.contains("nation"), "{refusal:?}");
    let here = gateway.directory.to_string_lossy();
    assert!(!refusal.message.contains(here.as_ref()), "{refusal:?}");
    assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
    assert_eq!(
        flight
            .query("SELECT count(*) FROM lake.gold.region")
            .await
            .expect("an answer")
            .cell(),
        "5"
    );
}

#[tokio::test]
async fn a_missing_data_file_is_an_error_and_not_fewer_rows() {
    let gateway = Gateway::quickstart(0.01).expect("a gateway");
    let victim = table_files(&gateway.directory, "orders", "parquet").remove(0);
    fs::remove_file(&victim).expect("a removable file");
    let mut flight = gateway.flight("admin").await.expect("a connection");
    let refusal = flight
        .query("SELECT sum(o_totalprice) FROM lake.gold.orders")
        .await
        .expect_err("loss is told");
    assert!(refusal.message.contains("orders"), "{refusal:?}");
    assert_eq!(flight.query("SELECT 1").await.expect("an answer").cell(), "1");
}
