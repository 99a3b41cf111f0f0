"""A C++ Flight server that streams a table from memory: the transport's ceiling in the same run.

Argument: the address of a Flight server that gives the table for the ticket `rows 0/1`. Prints `ready grpc://HOST:PORT`.
The ticket `rows I/N` gives part I of N.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.flight as flight


class Echo(flight.FlightServerBase):
    """Streams parts of one table."""

    def __init__(self, table: pa.Table):
        super().__init__("grpc://127.0.0.1:0")
        self.table = table

    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.RecordBatchStream:
        index, count = map(int, ticket.ticket.decode().removeprefix("rows ").split("/"))
        batches = self.table.to_batches()
        part = batches[index * len(batches) // count:(index + 1) * len(batches) // count]
        return flight.RecordBatchStream(pa.Table.from_batches(part, self.table.schema))


def main(source: str) -> None:
    with flight.connect(source) as client:
        table = client.do_get(flight.Ticket(b"rows 0/1")).read_all()
    server = Echo(table)
    print(f"ready grpc://127.0.0.1:{server.port}", flush=True)
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
