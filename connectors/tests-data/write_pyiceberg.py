"""Writes the Iceberg tables of the folder `pyiceberg` with PyIceberg, and what PyIceberg reads from them.

    pip install 'pyiceberg[sql-sqlite,pyarrow]==0.12.0'
    python write_pyiceberg.py OUT      # OUT: an empty folder

As with `write_spark.py`, the tables are written below /lake/warehouse, which must be writable.
"""

import datetime as dt
import decimal
import json
import pathlib
import shutil
import sqlite3
import sys
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType, IntegerType, LongType,
    NestedField, StringType, TimestampType, TimestamptzType, TimeType, UUIDType,
)

out, lake = pathlib.Path(sys.argv[1]), pathlib.Path("/lake")
for old in lake.iterdir():
    shutil.rmtree(old) if old.is_dir() else old.unlink()
(lake / "warehouse").mkdir()
catalog = SqlCatalog("lake", uri=f"sqlite:///{lake}/catalog.db", warehouse=f"file://{lake}/warehouse")
catalog.create_namespace("s")
types = [LongType(), BooleanType(), IntegerType(), FloatType(), DoubleType(), DecimalType(12, 3), DateType(), TimeType(),
         TimestampType(), TimestamptzType(), StringType(), BinaryType(), FixedType(3), UUIDType()]
fields = [NestedField(place + 1, "id" if place == 0 else f"c{place}", of, required=False) for place, of in enumerate(types)]
table = catalog.create_table("s.types", Schema(*fields), properties={"format-version": "2"})
utc = dt.timezone.utc
rows = [
    [1, True, -7, 1.5, -2.25, decimal.Decimal("123.456"), dt.date(1969, 12, 31), dt.time(1, 2, 3, 4), dt.datetime(1960, 1, 1, 0, 0, 0, 1),
     dt.datetime(2024, 2, 29, 12, tzinfo=utc), "é", b"\x00\xff", b"abc", uuid.UUID(int=5).bytes],
    [2] + [None] * 13,
]
shape = table.schema().as_arrow()
table.append(pa.Table.from_pylist([dict(zip(shape.names, row)) for row in rows], schema=shape))

added = catalog.create_table("s.added", pa.schema([("id", pa.int64()), ("s", pa.string()), ("n", pa.int32())]))
files = []
for number in range(2):
    files.append(f"{lake}/warehouse/s/added/foreign{number}.parquet")
    pathlib.Path(files[-1]).parent.mkdir(parents=True, exist_ok=True)
    rows = pa.table({"n": pa.array([number * 10], pa.int32()), "s": [f"s{number}"], "id": pa.array([number], pa.int64())})
    pq.write_table(rows, files[-1])
added.add_files(files)
with added.update_schema() as update:
    update.rename_column("s", "text")
    update.add_column("more", DoubleType())
added = catalog.load_table("s.added")
added.append(pa.Table.from_pylist([{"id": 9, "text": "s9", "n": 90, "more": 0.5}], schema=added.schema().as_arrow()))

answers = {"types": ["1,true,-7,1.5,-2.25,123.456,1969-12-31,01:02:03.000004,1960-01-01T00:00:00.000001,2024-02-29T12:00:00Z,é,"
                     "00ff,616263,00000000000000000000000000000005", "2" + "," * 13]}
rows = added.scan().to_arrow().sort_by("id").to_pylist()
answers["added"] = [",".join("" if row[name] is None else str(row[name]) for name in ("id", "text", "n", "more")) for row in rows]
assert catalog.load_table("s.types").scan().count() == 2
keep = {path for name in answers for path in [catalog.load_table(f"s.{name}").metadata_location.removeprefix("file://")]}
for name in answers:
    loaded = catalog.load_table(f"s.{name}")
    keep.add(loaded.current_snapshot().manifest_list.removeprefix("file://"))
    keep |= {file.manifest_path.removeprefix("file://") for file in loaded.current_snapshot().manifests(loaded.io)}
for path in lake.rglob("*"):
    if path.is_file() and path.parent.name == "metadata" and str(path) not in keep:
        path.unlink()
shutil.copytree(lake / "warehouse", out / "warehouse")
shutil.copy(lake / "catalog.db", out / "catalog.db")
small = sqlite3.connect(out / "catalog.db")
small.executescript("PRAGMA journal_mode=DELETE; PRAGMA page_size=1024; VACUUM;")
small.close()
(out / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
