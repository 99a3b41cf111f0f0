"""PyIceberg beside the gateway: it reads what ingest wrote, and the gateway reads what it writes."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from door import Door
from gateway import Gateway, binary

MONTH = (datetime.date(1995, 3, 1), datetime.date(1995, 4, 1))


def catalog(directory: Path) -> SqlCatalog:
    """The catalog of a quickstart, as its README says where it is."""
    warehouse = (directory / "warehouse").resolve()
    return SqlCatalog("lakegate", uri=f"sqlite:///{directory / 'catalog.sqlite'}", warehouse=f"file://{warehouse}")


def same(theirs: pa.Table, ours: pa.Table, order: str) -> None:
    """Equal names, equal values in the order of a key; PyIceberg reads texts as large ones."""
    plain = theirs.cast(ours.schema.remove_metadata())
    assert plain.sort_by(order).to_pylist() == ours.sort_by(order).to_pylist()


def test_pyiceberg_lists_the_tables_of_the_quickstart(lake_directory):
    found = catalog(lake_directory)
    assert {("bronze",), ("silver",), ("gold",)} <= set(found.list_namespaces())
    assert ("gold", "lineitem") in found.list_tables("gold")


def test_pyiceberg_reads_the_rows_that_the_gateway_gives(lake_directory, admin):
    nation = catalog(lake_directory).load_table("gold.nation")
    ours = admin.query("SELECT * FROM lake.gold.nation")
    assert ours.num_rows == 25
    same(nation.scan().to_arrow(), ours, "n_nationkey")


def test_pyiceberg_reads_one_month_of_a_partitioned_table(lake_directory, admin):
    orders = catalog(lake_directory).load_table("gold.orders")
    scan = orders.scan(row_filter=f"o_orderdate >= '{MONTH[0]}' and o_orderdate < '{MONTH[1]}'")
    assert 0 < len(list(scan.plan_files())) < len(list(orders.scan().plan_files())), "partitions are pruned by both"
    theirs = scan.to_arrow()
    ours = admin.query(f"SELECT * FROM lake.gold.orders WHERE o_orderdate >= DATE '{MONTH[0]}' "
                       f"AND o_orderdate < DATE '{MONTH[1]}'")
    assert ours.num_rows > 1_000 and pc.max(ours["o_orderdate"]).as_py() < MONTH[1]
    same(theirs, ours, "o_orderkey")


@pytest.fixture
def own_lake(tmp_path):
    """A lake that this test may write to: its folder and a gateway over it."""
    with Gateway.start(binary(), tmp_path / "lake", "0.01", 600) as gateway:
        yield gateway.directory, Door(gateway.flight, gateway.rest, gateway.admin, gateway.users())


def test_the_gateway_sees_what_pyiceberg_appends_at_the_next_query(own_lake):
    directory, door = own_lake
    client, rest = door.flight_as("admin"), door.rest_as("admin")
    written = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "said": ["a", None, "ü☃"],
                        "at": pa.array([datetime.datetime(2024, 2, 29, 12, 30, 15, 500)] * 3, pa.timestamp("us"))})
    table = catalog(directory).create_table("gold.notes", schema=written.schema)
    assert client.query("SELECT count(*) AS n FROM lake.gold.notes").to_pylist() == [{"n": 0}]
    table.append(written)
    statement = "SELECT id, said, at FROM lake.gold.notes ORDER BY id"
    assert client.query(statement).to_pylist() == written.to_pylist()
    pinned = client.info(statement)
    table.append(written.set_column(0, "id", pa.array([4, 5, 6], pa.int64())))
    assert rest.table("SELECT count(*) AS n, sum(id) AS ids FROM lake.gold.notes").to_pylist() == [{"n": 6, "ids": 21}]
    assert client.query(statement).num_rows == 6
    assert client.read(pinned.endpoints[0].ticket).num_rows == 3, "a ticket keeps its snapshot"
