"""DuckDB with its Postgres scanner as a peer: some tables in Postgres, the others in Parquet files.

Arguments: the server's URL, the tables to read there (with commas, or `*` for all), a folder with a folder of Parquet
files for each table, the number of threads. Lines and replies are those of duckdb_worker.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import duckdb_extensions

from duckdb_worker import answered


def main(url: str, remote: str, folder: str, threads: str) -> None:
    duckdb_extensions.import_extension("postgres_scanner")
    connection = duckdb.connect()
    connection.execute("LOAD postgres_scanner")
    connection.execute(f"SET threads = {int(threads)}")
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute(f"ATTACH '{url}' AS pg (TYPE postgres, READ_ONLY)")
    for table in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        files = str(table / "*.parquet").replace("'", "''")
        is_remote = remote == "*" or table.name in remote.split(",")
        source = f'pg.public."{table.name}"' if is_remote else f"read_parquet('{files}')"
        connection.execute(f'CREATE VIEW "{table.name}" AS SELECT * FROM {source}')
    out = sys.stdout.buffer
    for line in sys.stdin:
        reply, body = answered(connection, json.loads(line))
        out.write(json.dumps(reply).encode() + b"\n" + body)
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
