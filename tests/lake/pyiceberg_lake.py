"""PyIceberg beside the gateway: writes tables into a catalog, or says what is in one.

Usage: pyiceberg_lake.py write|append|read CATALOG, where CATALOG is the JSON of the catalog's properties. The last line is
JSON: the rows, the sum of the ids and the newest snapshot of each table.
"""

from __future__ import annotations

import datetime
import json
import sys

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType, TimestampType

TABLES = ("gold.events", "gold.inner.notes")
START = datetime.datetime(2024, 2, 29, 12, 30, 15, 500)


def rows(first: int, count: int) -> pa.Table:
    """Rows that a query can check: the name and the time follow from the id."""
    ids = range(first, first + count)
    return pa.table({"id": pa.array(ids, pa.int64()), "name": [f"event {i} {'x' * (i % 50)}" for i in ids],
                     "at": pa.array([START + datetime.timedelta(seconds=i) for i in ids], pa.timestamp("us"))},
                    schema=pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string()),
                                      pa.field("at", pa.timestamp("us"))]))


def write(catalog: Catalog) -> None:
    """Two tables: one with three snapshots, a tag and a branch, one below two levels of namespaces."""
    catalog.create_namespace_if_not_exists("gold")
    catalog.create_namespace_if_not_exists("gold.inner")
    schema = Schema(NestedField(1, "id", LongType(), required=True, doc="the number of the event"),
                    NestedField(2, "name", StringType()), NestedField(3, "at", TimestampType()),
                    identifier_field_ids=[1])
    events = catalog.create_table("gold.events", schema,
                                  properties={"comment": "what happened", "write.parquet.row-group-limit": "10000"})
    for part in range(3):
        events.append(rows(part * 40_000, 40_000))
        if part == 0:
            first = events.current_snapshot().snapshot_id
            events.manage_snapshots().create_tag(first, "first").create_branch(first, "old").commit()
    events.delete("id >= 119000")
    notes = catalog.create_table("gold.inner.notes", Schema(NestedField(1, "id", LongType())))
    notes.append(pa.table({"id": pa.array([1, 2, 3], pa.int64())}))


def append(catalog: Catalog) -> None:
    """Ten more rows."""
    catalog.load_table("gold.events").append(rows(1_000_000, 10))


def read(catalog: Catalog) -> dict:
    """What is in each table now."""
    said = {}
    for name in TABLES:
        table = catalog.load_table(name)
        ids = table.scan(selected_fields=("id",)).to_arrow()["id"].to_pylist()
        said[name] = {"rows": len(ids), "sum": sum(ids), "snapshot": table.current_snapshot().snapshot_id}
    return said


def main(action: str, properties: str) -> None:
    catalog = load_catalog("lakegate", **json.loads(properties))
    if action != "read":
        {"write": write, "append": append}[action](catalog)
    print(json.dumps(read(catalog)))


if __name__ == "__main__":
    main(*sys.argv[1:])
