//! Primary and foreign keys and comments of a database reach Flight SQL's metadata commands, for those who may know them.

use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
};
use tests::{Flight, refusal};

use super::House;

const TABLES: &str = "CREATE SCHEMA shop;
CREATE TABLE shop.land (code text PRIMARY KEY);
CREATE TABLE shop.town (land text REFERENCES shop.land ON DELETE CASCADE ON UPDATE SET NULL, nr int, PRIMARY KEY (land, nr));
CREATE TABLE shop.shop (id int PRIMARY KEY, land text, town int,
  CONSTRAINT stands_in FOREIGN KEY (land, town) REFERENCES shop.town (land, nr) ON DELETE RESTRICT);
COMMENT ON TABLE shop.shop IS 'where things are sold';
COMMENT ON COLUMN shop.shop.town IS 'the number within the land'";

async fn imported(flight: &mut Flight, table: &str) -> Vec<Vec<String>> {
    let request = CommandGetImportedKeys {
        catalog: Some("pg".to_owned()),
        db_schema: Some("shop".to_owned()),
        table: table.to_owned(),
    };
    let info = flight
        .client()
        .get_imported_keys(request)
        .await
        .map_err(refusal)
        .expect("a plan");
    flight.fetch(info).await.expect("rows").rows()
}

/// Keys of others that refer to a table.
async fn exported(flight: &mut Flight) {
    let table = |table: &str| (Some("pg".to_owned()), Some("shop".to_owned()), table.to_owned());
    let (catalog, db_schema, name) = table("land");
    let request = CommandGetExportedKeys {
        catalog,
        db_schema,
        table: name,
    };
    let info = flight
        .client()
        .get_exported_keys(request)
        .await
        .map_err(refusal)
        .expect("a plan");
    let rows = flight.fetch(info).await.expect("rows").rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0][2].as_str(), rows[0][6].as_str()), ("land", "town"));
    assert_eq!(
        (rows[0][11].as_str(), rows[0][12].as_str()),
        ("2", "0"),
        "SET NULL on update, CASCADE on delete"
    );
}

/// Keys between two named tables, in the one direction that they have.
async fn crossed(flight: &mut Flight) {
    let table = |table: &str| (Some("pg".to_owned()), Some("shop".to_owned()), table.to_owned());
    let between = |pk: &str, fk: &str| {
        let ((pk_catalog, pk_db_schema, pk_table), (fk_catalog, fk_db_schema, fk_table)) =
            (table(pk), table(fk));
        CommandGetCrossReference {
            pk_catalog,
            pk_db_schema,
            pk_table,
            fk_catalog,
            fk_db_schema,
            fk_table,
        }
    };
    for (pk, fk, count) in [("town", "shop", 2), ("land", "shop", 0), ("shop", "town", 0)] {
        let info = flight
            .client()
            .get_cross_reference(between(pk, fk))
            .await
            .map_err(refusal)
            .expect("a plan");
        assert_eq!(flight.fetch(info).await.expect("rows").len(), count, "{pk} {fk}");
    }
}

#[tokio::test]
async fn a_database_tells_its_keys() {
    let house = House::shared().await;
    house.postgres.run(TABLES, "").expect("tables");
    let mut flight = house.flight().await;
    let table = |table: &str| (Some("pg".to_owned()), Some("shop".to_owned()), table.to_owned());

    let (catalog, db_schema, name) = table("town");
    let request = CommandGetPrimaryKeys {
        catalog,
        db_schema,
        table: name,
    };
    let info = flight
        .client()
        .get_primary_keys(request)
        .await
        .map_err(refusal)
        .expect("a plan");
    let rows = flight.fetch(info).await.expect("rows").rows();
    let columns: Vec<&str> = rows.iter().map(|row| row[3].as_str()).collect();
    assert_eq!(columns, ["land", "nr"]);

    let stands_in = [
        [
            "pg",
            "shop",
            "town",
            "land",
            "pg",
            "shop",
            "shop",
            "land",
            "1",
            "stands_in",
            "NULL",
            "3",
            "1",
        ],
        [
            "pg",
            "shop",
            "town",
            "nr",
            "pg",
            "shop",
            "shop",
            "town",
            "2",
            "stands_in",
            "NULL",
            "3",
            "1",
        ],
    ];
    assert_eq!(imported(&mut flight, "shop").await, stands_in);

    exported(&mut flight).await;
    crossed(&mut flight).await;
    // Who may not know the tables is told of no keys.
    let mut viewer = house.gateway.flight("viewer").await.expect("a connection");
    assert!(imported(&mut viewer, "shop").await.is_empty());

    let comment = flight
        .query("SELECT column_comment FROM pg.information_schema.columns WHERE table_name = 'shop' AND column_name = 'town'")
        .await
        .expect("rows");
    assert_eq!(comment.cell(), "the number within the land");
}
