//! The questions to the server's own catalog, and their rows.
//!
//! Invariant: names of users' making are parameters, never text of a question.

use super::ColumnRow;
use crate::postgres::types::{TypeRow, Types};
use crate::{ForeignKey, KeyRule};
use std::collections::HashMap;
use tokio_postgres::{Client, Error, Row};

pub(super) const SCHEMAS: &str = "SELECT nspname::text FROM pg_catalog.pg_namespace
 WHERE pg_catalog.has_schema_privilege(oid, 'USAGE')";

/// Tables, partitioned tables, views, materialized views and foreign tables. A partition is a table as well.
pub(super) const TABLES: &str = "SELECT n.nspname::text, c.relname::text, c.relkind
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
 AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')";

/// Keys between tables of which the role may read both.
pub(super) const FOREIGN_KEYS: &str = "SELECT n.nspname::text, c.relname::text, k.conname::text,
 ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u(number, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
 rn.nspname::text, r.relname::text,
 ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u(number, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place),
 k.confupdtype, k.confdeltype
 FROM pg_catalog.pg_constraint k
 JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 JOIN pg_catalog.pg_class r ON r.oid = k.confrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0
 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_schema_privilege(rn.oid, 'USAGE')
 AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT') AND pg_catalog.has_any_column_privilege(r.oid, 'SELECT')";

/// A partitioned table has the rows and blocks of its partitions, as far as they have been counted.
const TABLE: &str = "SELECT c.oid, c.relkind, pg_catalog.obj_description(c.oid, 'pg_class'),
 CASE WHEN c.relkind = 'p' THEN
  (SELECT pg_catalog.sum(l.reltuples) FROM pg_catalog.pg_partition_tree(c.oid) p
   JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE p.isleaf AND l.reltuples >= 0)
 WHEN c.reltuples = 0 AND c.relpages = 0 THEN -1 ELSE c.reltuples END::float8,
 c.relpages::int8
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::text AND c.relname = $2::text
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
 AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')";

const COLUMNS: &str = "SELECT a.attname::text, a.attnum, a.atttypid, a.atttypmod,
 pg_catalog.col_description(a.attrelid, a.attnum)
 FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
 AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
 ORDER BY a.attnum";

const PRIMARY_KEY: &str = "SELECT a.attname::text
 FROM pg_catalog.pg_constraint k
 CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u(number, place)
 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
 WHERE k.contype = 'p' AND k.conrelid = $1 ORDER BY a.attnum";

/// The types of a table's columns and all that they are made of. A true array is one whose element's array type it is:
/// `name` and `point` have elements as well.
const TYPES: &str = "WITH RECURSIVE used(oid) AS (
  SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT part.oid FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid CROSS JOIN LATERAL (
   SELECT t.typelem WHERE t.typelem <> 0
   UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
   UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS part(oid))
 SELECT t.oid, t.typname::text, t.typtype,
  CASE WHEN e.typarray = t.oid THEN t.typelem ELSE 0 END::oid, t.typbasetype, t.typtypmod
 FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem";

const ATTRIBUTES: &str = "SELECT t.oid, a.attname::text, a.atttypid, a.atttypmod
 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
 WHERE t.oid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.oid, a.attnum";

/// What ANALYZE found. The view shows only columns that the role may read.
const STATISTICS: &str = "SELECT attname::text, null_frac::float8, n_distinct::float8, avg_width
 FROM pg_catalog.pg_stats WHERE schemaname = $1::text AND tablename = $2::text AND NOT inherited";

/// What the server has found of a column's values.
#[derive(Clone, Copy, Debug)]
pub(in crate::postgres) struct ColumnStatistics {
    /// The part of the rows that is NULL.
    pub(in crate::postgres) nulls: f64,
    /// How many values there are; a negative number is the part of the rows that is different.
    pub(in crate::postgres) distinct: f64,
    /// Bytes of a value.
    pub(in crate::postgres) width: i32,
}

/// A table as the catalog has it.
pub(super) struct TableRow {
    pub(super) oid: u32,
    pub(super) kind: i8,
    pub(super) comment: Option<String>,
    pub(super) rows: f64,
    pub(super) blocks: i64,
    pub(super) columns: Vec<ColumnRow>,
    pub(super) types: Types,
    pub(super) primary_key: Vec<String>,
    pub(super) statistics: HashMap<String, ColumnStatistics>,
}

/// Asks for one table.
///
/// # Errors
/// Those of the connection.
pub(super) async fn table(client: &Client, schema: &str, name: &str) -> Result<Option<TableRow>, Error> {
    // One snapshot of the catalog for all questions; whoever releases the connection ends the transaction.
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let Some(row) = client.query_opt(TABLE, &[&schema, &name]).await? else {
        return Ok(None);
    };
    let oid: u32 = row.try_get(0)?;
    let mut columns = Vec::new();
    for row in client.query(COLUMNS, &[&oid]).await? {
        columns.push(ColumnRow {
            name: row.try_get(0)?,
            number: row.try_get(1)?,
            oid: row.try_get(2)?,
            modifier: row.try_get(3)?,
            comment: row.try_get(4)?,
        });
    }
    let mut primary_key = Vec::new();
    for row in client.query(PRIMARY_KEY, &[&oid]).await? {
        primary_key.push(row.try_get(0)?);
    }
    // A key of which the role may not read all columns is none for it.
    if primary_key
        .iter()
        .any(|key| columns.iter().all(|column| column.name != *key))
    {
        primary_key.clear();
    }
    Ok(Some(TableRow {
        oid,
        kind: row.try_get(1)?,
        comment: row.try_get(2)?,
        rows: row.try_get::<_, Option<f64>>(3)?.unwrap_or(-1.0),
        blocks: row.try_get(4)?,
        columns,
        types: types(client, oid).await?,
        primary_key,
        statistics: statistics(client, schema, name).await?,
    }))
}

async fn statistics(
    client: &Client,
    schema: &str,
    name: &str,
) -> Result<HashMap<String, ColumnStatistics>, Error> {
    let mut found = HashMap::new();
    for row in client.query(STATISTICS, &[&schema, &name]).await? {
        let of_column = ColumnStatistics {
            nulls: row.try_get(1)?,
            distinct: row.try_get(2)?,
            width: row.try_get(3)?,
        };
        found.insert(row.try_get(0)?, of_column);
    }
    Ok(found)
}

async fn types(client: &Client, table: u32) -> Result<Types, Error> {
    let mut types = HashMap::new();
    let mut composites = Vec::new();
    for row in client.query(TYPES, &[&table]).await? {
        let oid: u32 = row.try_get(0)?;
        let kind = letter(row.try_get(2)?);
        if kind == 'c' {
            composites.push(oid);
        }
        let known = TypeRow {
            name: row.try_get(1)?,
            kind,
            element: row.try_get(3)?,
            base: row.try_get(4)?,
            modifier: row.try_get(5)?,
            attributes: Vec::new(),
        };
        types.insert(oid, known);
    }
    if composites.is_empty() {
        return Ok(types);
    }
    for row in client.query(ATTRIBUTES, &[&composites]).await? {
        let oid: u32 = row.try_get(0)?;
        if let Some(known) = types.get_mut(&oid) {
            known
                .attributes
                .push((row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        }
    }
    Ok(types)
}

/// A row of [`FOREIGN_KEYS`].
///
/// # Errors
/// When it has other columns.
pub(super) fn foreign_key(row: &Row) -> Result<ForeignKey, Error> {
    Ok(ForeignKey {
        table: (row.try_get(0)?, row.try_get(1)?),
        name: row.try_get(2)?,
        columns: row.try_get(3)?,
        referenced: (row.try_get(4)?, row.try_get(5)?),
        referenced_columns: row.try_get(6)?,
        on_update: rule(row.try_get(7)?),
        on_delete: rule(row.try_get(8)?),
    })
}

fn rule(code: i8) -> KeyRule {
    match letter(code) {
        'c' => KeyRule::Cascade,
        'r' => KeyRule::Restrict,
        'n' => KeyRule::SetNull,
        'd' => KeyRule::SetDefault,
        _ => KeyRule::NoAction,
    }
}

/// A value of the server's one-byte type.
fn letter(code: i8) -> char {
    u8::try_from(code).map_or('?', char::from)
}
