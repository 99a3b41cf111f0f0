"""Reads tables with PyIceberg, DuckDB and through a gateway, and says which readers agree.

Usage: interop.py GATEWAY TABLES. GATEWAY is the JSON of `flight`, `user` and `password`; TABLES is a JSON list of objects with
`writer`, `feature`, `sql` (how the gateway knows the table), `folder` (where the table is) and `moved` (where it was when it
was written, and where that is now; may be null). The last line is JSON: for each table and reader `equal`, or what it says.

The rows of all readers come as Arrow and are compared as such, value for value, in no order. What is right is what most say.
"""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import glob
import json
import os
import re
import sys
import types
import uuid

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import StaticTable

# DuckDB gives a uuid as text.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
READERS = ("lakegate", "pyiceberg", "duckdb")


def metadata(folder: str) -> str:
    """The newest metadata file of a table."""
    return max(glob.glob(os.path.join(folder, "metadata", "*.metadata.json")))


def through_gateway(gateway: dict, table: dict) -> pa.Table:
    """The rows as the gateway gives them."""
    client = flight.FlightClient(gateway["flight"])
    word = base64.b64encode(f"{gateway['user']}:{gateway['password']}".encode()).decode()
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Basic {word}".encode())])
    statement = f"SELECT * FROM {table['sql']}"
    info = client.get_flight_info(flight.FlightDescriptor.for_command(statement.encode()), options)
    parts = [client.do_get(endpoint.ticket, options).read_all() for endpoint in info.endpoints]
    return pa.concat_tables(parts)


def through_pyiceberg(table: dict) -> pa.Table:
    """The rows as PyIceberg gives them."""
    properties = {}
    if table["moved"]:
        old, new = table["moved"]

        class Moved(PyArrowFileIO):
            """Finds files where the lake has been moved to."""

            @staticmethod
            def parse_location(location, properties={}):  # noqa: B006 - the signature is the library's
                return PyArrowFileIO.parse_location(location.replace(old, new, 1), properties)

        sys.modules["moved"] = types.ModuleType("moved")
        sys.modules["moved"].Moved = Moved
        properties["py-io-impl"] = "moved.Moved"
    return StaticTable.from_metadata(metadata(table["folder"]), properties).scan().to_arrow()


def through_duckdb(table: dict) -> pa.Table:
    """The rows as DuckDB's Iceberg extension gives them."""
    session = duckdb.connect()
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    for extension in ("avro", "iceberg"):
        name = f"duckdb_extension_{extension}/extensions/*/{extension}.duckdb_extension"
        session.execute(f"LOAD '{glob.glob(os.path.join(packages, name))[0]}'")
    session.execute("SET TimeZone = 'UTC'")
    newest = metadata(table["folder"])
    if not table["moved"]:
        return session.execute("SELECT * FROM iceberg_scan(?)", [newest]).to_arrow_table()
    version = os.path.basename(newest).removesuffix(".metadata.json")
    return session.execute(f"SELECT * FROM iceberg_scan('{table['folder']}', allow_moved_paths => true, version => '{version}', "
                           "version_name_format => '%s%s.metadata.json')").to_arrow_table()


def plain(value):
    """A value as JSON that is the same for all readers."""
    if isinstance(value, uuid.UUID):
        return value.bytes.hex()
    if isinstance(value, str) and len(value) == 36 and UUID.fullmatch(value):
        return uuid.UUID(value).bytes.hex()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def rows(table: pa.Table) -> collections.Counter:
    """The rows of a table, each as text; nanoseconds as numbers, which Python's times do not hold."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            column = pc.cast(column, pa.int64())
        columns[name] = [plain(value) for value in column.to_pylist()]
    names = sorted(columns)
    count = table.num_rows
    return collections.Counter(json.dumps([columns[name][row] for name in names], sort_keys=True) for row in range(count))


def main(gateway_text: str, tables_text: str) -> None:
    gateway = json.loads(gateway_text)
    said = []
    for table in json.loads(tables_text):
        found, problems = {}, {}
        for reader in READERS:
            try:
                read = {"lakegate": lambda: through_gateway(gateway, table), "pyiceberg": lambda: through_pyiceberg(table),
                        "duckdb": lambda: through_duckdb(table)}[reader]()
                found[reader] = rows(read)
            except Exception as error:  # noqa: BLE001 - a reader's failure is what is asked for
                problems[reader] = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
        votes = collections.Counter(tuple(sorted(counted.items())) for counted in found.values())
        right = votes.most_common(1)[0][0] if votes else ()
        verdicts = {}
        for reader in READERS:
            if reader in problems:
                verdicts[reader] = problems[reader]
            elif tuple(sorted(found[reader].items())) == right:
                verdicts[reader] = "equal"
            else:
                other = next((row for row in found[reader] if row not in dict(right)), None)
                verdicts[reader] = f"differs: {sum(found[reader].values())} rows, such as {other}"
        said.append({"writer": table["writer"], "feature": table["feature"], "rows": sum(dict(right).values()),
                     "readers": len(found), "verdicts": verdicts})
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
