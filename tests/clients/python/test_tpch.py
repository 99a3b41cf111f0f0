"""All 22 TPC-H queries at scale 1: DuckDB's answers on the same rows, and the published answers."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

import tpch
from door import TABLES

pytestmark = pytest.mark.tpch

ROWS = {"customer": 150_000, "lineitem": 6_001_215, "nation": 25, "orders": 1_500_000, "part": 200_000,
        "partsupp": 800_000, "region": 5, "supplier": 10_000}


@pytest.fixture(scope="module")
def gateway(tpch_door):
    return tpch_door.flight_as("admin")


@pytest.fixture(scope="module")
def duck(gateway, tmp_path_factory):
    """DuckDB over each table as the gateway gives it out, written to Parquet batch by batch."""
    folder = tmp_path_factory.mktemp("tpch")
    connection = duckdb.connect()
    for table in TABLES:
        path = folder / f"{table}.parquet"
        info = gateway.info(f"SELECT * FROM lake.gold.{table}")
        with parquet.ParquetWriter(path, info.schema) as writer:
            for endpoint in info.endpoints:
                for chunk in gateway.client.do_get(endpoint.ticket, gateway.options):
                    writer.write_batch(chunk.data)
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM '{path}'")
    return connection


@pytest.fixture(scope="module")
def answers(gateway):
    """The gateway's answer to a query; each is asked once."""
    asked: dict[int, pa.Table] = {}

    def answer(number: int) -> pa.Table:
        if number not in asked:
            asked[number] = gateway.query(tpch.query(number))
        return asked[number]

    return answer


@pytest.mark.parametrize("table", TABLES)
def test_the_lake_is_tpch_at_scale_one(duck, table):
    assert duck.cursor().execute(f"SELECT count(*) FROM {table}").fetchall() == [(ROWS[table],)]


@pytest.mark.parametrize("number", tpch.NUMBERS)
def test_the_answer_is_duckdbs(answers, duck, number):
    expected = duck.cursor().execute(tpch.query(number)).to_arrow_table()
    assert expected.num_rows > 0, "an empty answer proves nothing"
    found = answers(number)
    assert [name.lower() for name in found.column_names if "(" not in name] == \
        [name.lower() for name in expected.column_names if "(" not in name]
    assert tpch.differences(found, expected, tpch.ORDER[number]) == []


@pytest.mark.parametrize("number", tpch.NUMBERS)
def test_the_answer_is_the_published_one(answers, number):
    count, columns, expected = tpch.published(number)
    found = answers(number)
    assert found.num_rows == count and expected
    rows = tpch.rows(found.select(columns) if columns else found)
    if count == len(expected):
        exact = [isinstance(cell, (str, int)) for cell in rows[0]]
        rows = sorted(rows, key=lambda row: [str(cell).strip() for cell, is_exact in zip(row, exact) if is_exact])
        expected = sorted(expected, key=lambda row: [text.strip() for text, is_exact in zip(row, exact) if is_exact])
    for one, other in zip(rows, expected):
        assert len(one) == len(other)
        assert all(tpch.like_published(cell, text, tpch.SLACK[number]) for cell, text in zip(one, other)), (one, other)


def test_the_comparison_finds_a_difference(duck):
    table = duck.cursor().execute(tpch.query(1)).to_arrow_table()
    assert tpch.differences(table, table, tpch.ORDER[1]) == []
    changed = table.set_column(9, "count_order", pa.array([n + 1 for n in table.column(9).to_pylist()]))
    turned = table.take(list(range(table.num_rows))[::-1])
    assert len(tpch.differences(changed, table, tpch.ORDER[1])) == table.num_rows
    assert tpch.differences(turned, table, tpch.ORDER[1]) and not tpch.differences(turned, table, [])
