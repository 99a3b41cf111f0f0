"""Reads the tables of one pipeline with PyIceberg and with DuckDB.

Usage: zones.py WAREHOUSE PIPELINE. The last line is JSON: for each reader and each of bronze, silver and rejects how many rows there are, how
many records they name, and a digest of the records, by what each came as.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys

import pyarrow.compute as pc

from interop import through_duckdb, through_pyiceberg

READERS = {"pyiceberg": through_pyiceberg, "duckdb": through_duckdb}


def folder(warehouse: str, table: str) -> str:
    """The folder of a table, wherever the catalog has put it."""
    found = glob.glob(os.path.join(warehouse, *table.split("."), "metadata"))
    found += glob.glob(os.path.join(warehouse, *table.split(".")) + "-*/metadata")
    return os.path.dirname(found[0])


def told(rows, key: str, columns: list[str]) -> dict:
    """What is compared of some rows."""
    names = rows[key].to_pylist()
    values = zip(*(rows[column].to_pylist() for column in columns))
    lines = sorted(json.dumps(line, default=lambda value: value.hex()) for line in values)
    return {
        "rows": rows.num_rows,
        "records": len(set(names)),
        "digest": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def main() -> None:
    """Prints what each reader finds."""
    warehouse, pipeline = sys.argv[1:]
    said = {}
    for name, read in READERS.items():
        table = lambda of: read({"folder": folder(warehouse, of), "moved": None})  # noqa: B023, E731
        rejects = table("system.rejects")
        rejects = rejects.filter(pc.equal(rejects["pipeline"], pipeline))
        bronze = ["_ingest_id", "_topic", "_partition", "_offset", "_key", "payload", "payload_bytes", "_headers"]
        said[name] = {
            "bronze": told(table(f"bronze.{pipeline}"), "_ingest_id", bronze),
            "silver": told(table(f"silver.{pipeline}"), "_ingest_id", ["_ingest_id", "_content_sha256"]),
            "rejects": told(rejects, "ingest_id", ["ingest_id", "rule", "reason", "payload", "payload_bytes"]),
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
