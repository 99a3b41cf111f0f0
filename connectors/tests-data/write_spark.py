"""Writes the Iceberg tables of the folder `spark` with Spark 3.5 and the Iceberg runtime, and what Spark reads from them.

    pip install pyspark==3.5.6
    # from Maven Central: org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0, org.xerial:sqlite-jdbc:3.46.1.3
    python write_spark.py JARS OUT      # JARS: the two jars, with a comma; OUT: an empty folder

Iceberg's paths are absolute. The tables are written below /lake/warehouse, which must be writable, and the tests read
them with that prefix standing for the folder of the copy.
"""

import json
import pathlib
import shutil
import sqlite3
import sys

from pyspark.sql import SparkSession

jars, out = sys.argv[1], pathlib.Path(sys.argv[2])
lake = pathlib.Path("/lake")
for old in lake.iterdir():
    shutil.rmtree(old) if old.is_dir() else old.unlink()
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.jars", jars)
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
    .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.lake.catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog")
    .config("spark.sql.catalog.lake.uri", f"jdbc:sqlite:{lake}/catalog.db")
    .config("spark.sql.catalog.lake.jdbc.schema-version", "V1")
    .config("spark.sql.catalog.lake.warehouse", f"{lake}/warehouse")
    .getOrCreate()
)
run = lambda text: [spark.sql(one) for one in text.split(";") if one.strip()]
properties = "'write.parquet.compression-codec'='zstd', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='1'"
merge = "'write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read', 'write.merge.mode'='merge-on-read'"

run(f"""
CREATE NAMESPACE lake.s;
CREATE TABLE lake.s.positions (id BIGINT, k INT, s STRING) USING iceberg PARTITIONED BY (k)
    TBLPROPERTIES ('format-version'='2', {merge}, {properties});
INSERT INTO lake.s.positions SELECT id, CAST(id % 3 AS INT), concat('s', id) FROM range(40);
DELETE FROM lake.s.positions WHERE id % 7 = 3;

CREATE TABLE lake.s.vectors (id BIGINT, s STRING) USING iceberg
    TBLPROPERTIES ('format-version'='3', {merge}, {properties});
INSERT INTO lake.s.vectors SELECT id, concat('s', id) FROM range(100);
DELETE FROM lake.s.vectors WHERE id % 7 = 3;
DELETE FROM lake.s.vectors WHERE id BETWEEN 50 AND 60;

CREATE TABLE lake.s.evolved (id BIGINT, a INT, p STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<u: INT, v: STRING>>,
    m MAP<STRING, STRUCT<q: INT>>) USING iceberg TBLPROPERTIES ('format-version'='2', {properties});
INSERT INTO lake.s.evolved SELECT id, CAST(id AS INT), IF(id = 2, NULL, named_struct('x', CAST(id AS INT), 'y', concat('y', id))),
    array(named_struct('u', CAST(id AS INT), 'v', 'v')), map('k', named_struct('q', CAST(id AS INT))) FROM range(4);
ALTER TABLE lake.s.evolved RENAME COLUMN p.x TO z;
ALTER TABLE lake.s.evolved ADD COLUMN p.n BIGINT;
ALTER TABLE lake.s.evolved ALTER COLUMN p.y FIRST;
ALTER TABLE lake.s.evolved ADD COLUMN l.element.w DOUBLE;
ALTER TABLE lake.s.evolved DROP COLUMN l.element.u;
ALTER TABLE lake.s.evolved ALTER COLUMN m.value.q TYPE BIGINT;
ALTER TABLE lake.s.evolved ALTER COLUMN a TYPE BIGINT;
ALTER TABLE lake.s.evolved RENAME COLUMN a TO b;
INSERT INTO lake.s.evolved SELECT 9, 5000000000, named_struct('y', 'new', 'z', 9, 'n', 90L),
    array(named_struct('v', 'vv', 'w', CAST(0.5 AS DOUBLE))), map('k', named_struct('q', 9000000000));
""")
spark.sql("CREATE TABLE lake.s.parts (id BIGINT, d DATE, t TIMESTAMP, s STRING) USING iceberg "
          f"PARTITIONED BY (months(d), bucket(2, id)) TBLPROPERTIES ('format-version'='2', {properties})")
run("""
INSERT INTO lake.s.parts SELECT id, date_add(DATE '2020-01-20', CAST(id * 9 AS INT)), timestamp_micros(id * 3600000001), concat('s', id)
    FROM range(6);
ALTER TABLE lake.s.parts DROP PARTITION FIELD months(d);
ALTER TABLE lake.s.parts ADD PARTITION FIELD truncate(1, s);
INSERT INTO lake.s.parts SELECT id + 10, DATE '1969-12-31', timestamp_micros(-1), concat('t', id) FROM range(2);
CREATE TABLE lake.s.hive (id BIGINT, s STRING, p STRING) USING iceberg PARTITIONED BY (p) TBLPROPERTIES ('format-version'='2');
""")
folder = lake / "warehouse" / "s" / "hive" / "files"
spark.sql("SELECT id, concat('s', id) AS s, IF(id < 2, 'a', 'b c') AS p FROM range(4)").coalesce(1).write.partitionBy("p").parquet(str(folder))
spark.sql(f"CALL lake.system.add_files(table => 's.hive', source_table => '`parquet`.`{folder}`')")
spark.sql("ALTER TABLE lake.s.hive RENAME COLUMN s TO text")
spark.sql("INSERT INTO lake.s.hive VALUES (9, 's9', 'z')")

answers = {}
for name, query in {
    "positions": "SELECT id, k, s FROM {} ORDER BY id",
    "vectors": "SELECT id, s FROM {} ORDER BY id",
    "evolved": "SELECT id, b, p.y AS y, p.z AS z, p.n AS n, l[0].v AS v, l[0].w AS w, m['k'].q AS q FROM {} ORDER BY id",
    "parts": "SELECT id, CAST(d AS STRING) AS d, unix_micros(t) AS t, s FROM {} ORDER BY id",
    "hive": "SELECT id, text, p FROM {} ORDER BY id",
}.items():
    rows = spark.sql(query.format(f"lake.s.{name}")).collect()
    answers[name] = ["," .join("" if cell is None else str(cell) for cell in row) for row in rows]
# Only what the newest snapshots need is kept.
keep = set()
for name in answers:
    for part, column in (("manifests", "path"), ("snapshots ORDER BY committed_at DESC LIMIT 1", "manifest_list"),
                         ("metadata_log_entries ORDER BY timestamp DESC LIMIT 1", "file")):
        keep |= {row[0].removeprefix("file:") for row in spark.sql(f"SELECT {column} FROM lake.s.{name}.{part}").collect()}
spark.stop()
for path in lake.rglob("*"):
    metadata = path.parent.name == "metadata" and str(path) not in keep
    if path.is_file() and (metadata or path.name.startswith((".", "_")) or path.name.startswith("version-hint")):
        path.unlink()
for name in ("catalog.db", "warehouse"):
    source = lake / name
    shutil.copytree(source, out / name) if source.is_dir() else shutil.copy(source, out / name)
small = sqlite3.connect(out / "catalog.db")
small.executescript("PRAGMA journal_mode=DELETE; PRAGMA page_size=1024; VACUUM;")
small.close()
(out / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
