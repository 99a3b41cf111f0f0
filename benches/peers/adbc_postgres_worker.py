"""The ADBC driver of Postgres as a peer: binary COPY into Arrow, in this process.

Argument: the server's URL. Lines and replies are those of duckdb_worker.py.
"""

from __future__ import annotations

import json
import sys

import adbc_driver_postgresql.dbapi as postgres
import pyarrow as pa


def main(url: str) -> None:
    out = sys.stdout.buffer
    with postgres.connect(url) as connection:
        for line in sys.stdin:
            asked = json.loads(line)
            body = b""
            try:
                with connection.cursor() as cursor:
                    cursor.execute(asked["sql"])
                    reader = cursor.fetch_record_batch()
                    if asked["answer"]:
                        table = reader.read_all()
                        sink = pa.BufferOutputStream()
                        with pa.ipc.new_stream(sink, table.schema) as writer:
                            writer.write_table(table)
                        body, rows = sink.getvalue().to_pybytes(), table.num_rows
                    else:
                        rows = sum(batch.num_rows for batch in reader)
                reply = {"rows": rows, "bytes": len(body)}
            except Exception as error:  # whatever it is, the bench shows it as this peer's failure
                reply, body = {"error": str(error), "bytes": 0}, b""
            out.write(json.dumps(reply).encode() + b"\n" + body)
            out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
