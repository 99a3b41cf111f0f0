"""DuckDB as a peer: one process, statements over standard input, results drained to Arrow.

Arguments: a folder with a folder of Parquet files for each table, and the number of threads. Each line of input is
`{"sql": ..., "answer": true|false}`; each reply is a line `{"rows": n, "bytes": m}` or `{"error": ..., "bytes": 0}`,
followed by m bytes of an Arrow IPC stream when the answer is wanted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import pyarrow as pa


def main(folder: str, threads: str) -> None:
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(threads)}")
    # The gateway and the bare engine keep footers too.
    connection.execute("SET parquet_metadata_cache = true")
    for table in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        files = str(table / "*.parquet").replace("'", "''")
        connection.execute(f'CREATE VIEW "{table.name}" AS SELECT * FROM read_parquet(\'{files}\')')
    out = sys.stdout.buffer
    for line in sys.stdin:
        reply, body = answered(connection, json.loads(line))
        out.write(json.dumps(reply).encode() + b"\n" + body)
        out.flush()


def answered(connection: duckdb.DuckDBPyConnection, asked: dict) -> tuple[dict, bytes]:
    try:
        table = connection.execute(asked["sql"]).to_arrow_table()
    except duckdb.Error as error:
        return {"error": str(error), "bytes": 0}, b""
    body = stream(table) if asked["answer"] else b""
    return {"rows": table.num_rows, "bytes": len(body)}, body


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


if __name__ == "__main__":
    main(*sys.argv[1:])
