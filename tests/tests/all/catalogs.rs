//! Catalogs of others beside our own: one behind REST, one in Postgres. What they hold is read as they hold it; where one is
//! down, its own queries fail, and nothing else.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use connectors::iceberg::{Config, create_catalog};
use iceberg::spec::PrimitiveType;
use iceberg::{Catalog as _, NamespaceIdent};
use ingest::commit::Token;
use ingest::{Appender, Column, Contract, Silent, Zone};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Gateway, Moto, Nessie, Postgres, Refusal, python};

async fn rows(gateway: &Gateway, sql: &str) -> Vec<Vec<String>> {
    gateway.rest("admin").query(sql).await.expect(sql).rows()
}

async fn refusal(gateway: &Gateway, sql: &str) -> Refusal {
    gateway.rest("admin").query(sql).await.map(drop).expect_err(sql)
}

async fn pyiceberg(action: &str, properties: &Value) -> Value {
    python::run("pyiceberg_lake.py", &[action, &properties.to_string()])
        .await
        .expect(action)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_catalog_is_mounted_in_five_lines_and_lends_the_keys_of_its_store() {
    let moto = Moto::start().await.expect("moto");
    let nessie = Nessie::start(&moto).await.expect("Nessie");
    let properties = json!({
        "type": "rest", "uri": nessie.url, "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.endpoint": format!("http://{}", moto.address), "s3.region": "us-east-1",
        "s3.access-key-id": "lakeid", "s3.secret-access-key": "lakesecret",
    });
    let said = pyiceberg("write", &properties).await;
    let url = nessie.url.clone();
    let settings = [
        ("planner.sources.theirs.kind", "iceberg"),
        ("planner.sources.theirs.catalog", url.as_str()),
        ("planner.sources.theirs.warehouse", "lake"),
        // A catalog of a test speaks without TLS, and so does its store.
        ("planner.sources.theirs.rest.allow_http", "true"),
        ("planner.sources.theirs.storage.allow_http", "true"),
    ];
    let gateway = Gateway::quickstart_with(0.01, &settings).expect("a gateway");
    let events = &said["gold.events"];
    let whole = "SELECT count(*), sum(id) FROM theirs.gold.events";
    let wanted = [[events["rows"].to_string(), events["sum"].to_string()]];
    assert_eq!(rows(&gateway, whole).await, wanted);
    assert_eq!(
        rows(&gateway, "SELECT sum(id) FROM theirs.\"gold.inner\".notes").await,
        [["6"]]
    );
    let listed = "SELECT table_schema, table_name FROM theirs.information_schema.tables \
                  WHERE table_schema <> 'information_schema' ORDER BY 1, 2";
    assert_eq!(
        rows(&gateway, listed).await,
        [["gold", "events"], ["gold.inner", "notes"]]
    );
    let both = "SELECT count(*) FROM theirs.gold.events e JOIN lake.gold.region r ON e.id = r.r_regionkey";
    assert_eq!(rows(&gateway, both).await, [["5"]]);
    let pinned = gateway
        .flight("admin")
        .await
        .expect("a door")
        .plan(whole)
        .await
        .expect("a plan");
    let later = pyiceberg("append", &properties).await;
    let later = &later["gold.events"];
    assert_eq!(
        rows(&gateway, whole).await,
        [[later["rows"].to_string(), later["sum"].to_string()]]
    );
    // Nessie's tables show their newest snapshot and no other: a ticket says so, and gives no other rows.
    let mut door = gateway.flight("admin").await.expect("a door");
    let gone = door
        .fetch(pinned)
        .await
        .map(drop)
        .expect_err("a snapshot that is shown no more");
    assert!(gone.message.contains("LG1012"), "{gone:?}");
    let unknown = refusal(&gateway, "SELECT * FROM theirs.\"gold.inner\".nates").await;
    assert!(
        unknown.message.contains("LG1005") && unknown.message.contains("notes"),
        "{unknown:?}"
    );
    drop(nessie);
    fails_alone(&gateway, "theirs", whole).await;
    // Nor does it hold up the start.
    let fresh = Gateway::quickstart_with(0.01, &settings).expect("a gateway beside a catalog that is down");
    fails_alone(&fresh, "theirs", whole).await;
}

/// A source that is down fails its queries by name, and no others.
async fn fails_alone(gateway: &Gateway, source: &str, sql: &str) {
    let down = refusal(gateway, sql).await;
    assert!(down.message.ends_with("(LG1013)"), "{down:?}");
    let named = format!("source {source} cannot be reached");
    assert!(down.message.contains(&named), "{down:?}");
    assert_eq!(
        rows(gateway, "SELECT count(*) FROM lake.gold.nation").await,
        [["25"]]
    );
}

/// Appends rows through our own writer to a table of the catalog at `url`.
async fn append_ours(url: &str, warehouse: &str) {
    let mut config = Config::new(url, warehouse);
    config.catalog_name = "lakegate".to_owned();
    let catalog = create_catalog(&config).await.expect("a catalog");
    let gold: NamespaceIdent = Zone::Gold.namespace();
    if !catalog.namespace_exists(&gold).await.expect("an answer") {
        catalog
            .create_namespace(&gold, [].into())
            .await
            .expect("a namespace");
    }
    let columns = vec![
        Column::required("id", PrimitiveType::Long, "the number of the row"),
        Column::optional("name", PrimitiveType::String, "the row in words"),
    ];
    let contract = Contract::new(Zone::Gold, "ours", "rows of a test", columns).expect("a contract");
    let contract = contract.with_key(&["id"]).expect("a key");
    let columns: [(&str, ArrayRef, bool); 2] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 39])), false),
        (
            "name",
            Arc::new(StringArray::from(vec![Some("a"), None, Some("ü")])),
            true,
        ),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let appender = Appender::new(catalog, ingest::Config::default()).expect("an appender");
    appender
        .append(
            &contract,
            &Token::unique(),
            Box::new([Ok(batch)].into_iter()),
            &Silent,
        )
        .await
        .expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_catalog_in_postgres_is_read_and_written_by_pyiceberg_and_by_us() {
    let mut postgres = Postgres::start().expect("a server");
    let folder = TempDir::with_prefix("lakegate-catalog-").expect("a folder");
    let warehouse = folder.path().join("warehouse").display().to_string();
    std::fs::create_dir(&warehouse).expect("a warehouse");
    let url = postgres.url.clone();
    let settings = [
        ("planner.sources.shared.kind", "iceberg"),
        ("planner.sources.shared.catalog", url.as_str()),
        ("planner.sources.shared.warehouse", warehouse.as_str()),
    ];
    let properties = json!({
        "type": "sql", "uri": postgres.url.replace("postgres://", "postgresql+psycopg2://"),
        "warehouse": format!("file://{warehouse}"),
    });
    let said = pyiceberg("write", &properties).await;
    append_ours(&postgres.url, &warehouse).await;
    let gateway = Gateway::quickstart_with(0.01, &settings).expect("a gateway");
    let events = &said["gold.events"];
    assert_eq!(
        rows(&gateway, "SELECT count(*), sum(id) FROM shared.gold.events").await,
        [[events["rows"].to_string(), events["sum"].to_string()]]
    );
    assert_eq!(
        rows(&gateway, "SELECT id, name FROM shared.gold.ours ORDER BY id").await,
        [["1", "a"], ["2", "NULL"], ["39", "ü"]]
    );
    let theirs = python::run("pyiceberg_table.py", &["gold.ours", &properties.to_string()])
        .await
        .expect("rows");
    assert_eq!(
        theirs,
        json!([{"id": 1, "name": "a"}, {"id": 2, "name": null}, {"id": 39, "name": "ü"}])
    );
    append_ours(&postgres.url, &warehouse).await;
    pyiceberg("append", &properties).await;
    assert_eq!(
        rows(&gateway, "SELECT count(*) FROM shared.gold.ours").await,
        [["6"]]
    );
    let listed = rows(
        &gateway,
        "SELECT DISTINCT table_schema FROM shared.information_schema.tables ORDER BY 1",
    )
    .await;
    assert!(listed.contains(&vec!["gold.inner".to_owned()]), "{listed:?}");
    postgres.stop();
    let whole = "SELECT count(*) FROM shared.gold.events";
    fails_alone(&gateway, "shared", whole).await;
    let fresh = Gateway::quickstart_with(0.01, &settings).expect("a gateway beside a catalog that is down");
    fails_alone(&fresh, "shared", whole).await;
}
