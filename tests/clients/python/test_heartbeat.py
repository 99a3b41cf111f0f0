"""Slow statements: pyarrow and ADBC read a stream whose first messages are empty batches, and get the right rows."""

from __future__ import annotations

import pytest

from door import Door
from gateway import Gateway, binary

# Pairs of the first rows of lineitem; a sum over products of pairs is the product of two sums.
ROWS = "(SELECT l_orderkey % 7 AS f, l_linenumber AS g FROM lake.gold.lineitem ORDER BY l_orderkey, l_linenumber LIMIT {})"
ROWS_FIRST, ROWS_MAX = 20_000, 640_000


@pytest.fixture(scope="module")
def beating(tmp_path_factory):
    """A gateway whose heartbeat is the quickest that it takes."""
    settings = {"limits.heartbeat": "1s"}
    with Gateway.start(binary(), tmp_path_factory.mktemp("beating"), "0.1", 600, settings) as gateway:
        yield Door(gateway.flight, gateway.rest, gateway.admin, gateway.users())


def expected(client, count: int) -> int:
    rows = ROWS.format(count)
    table = client.query(f"SELECT sum(f) AS f, sum(g) AS g FROM {rows} AS t")
    (sums,) = table.to_pylist()
    return sums["f"] * sums["g"]


def test_a_stream_with_heartbeats_has_the_right_rows(beating):
    """The statement grows until it is slow on this machine."""
    client, count = beating.flight_as("admin"), ROWS_FIRST
    while True:
        rows = ROWS.format(count)
        sql = f"SELECT sum(a.f * b.g) AS n FROM {rows} AS a, {rows} AS b"
        info = client.info(sql)
        reader = client.client.do_get(info.endpoints[0].ticket, client.options)
        batches = [chunk.data for chunk in reader]
        right = expected(client, count)
        assert [row for batch in batches for row in batch.to_pylist()] == [{"n": right}]
        assert all(batch.schema.equals(info.schema) for batch in batches)
        if batches[0].num_rows == 0:
            break
        count *= 2
        assert count <= ROWS_MAX, "no statement was slow"
    with beating.adbc_as("admin") as connection, connection.cursor() as cursor:
        assert cursor.execute(sql).fetchall() == [(right,)]
