"""pandas and polars read the lake through ADBC, as their own documentation writes it."""

from __future__ import annotations

import pandas
import polars
import pytest

SQL = ("SELECT o_orderpriority AS priority, count(*) AS n, sum(o_totalprice) AS total, min(o_orderdate) AS first "
       "FROM lake.gold.orders GROUP BY o_orderpriority ORDER BY o_orderpriority")


@pytest.fixture
def expected(adbc):
    with adbc.cursor() as cursor:
        return cursor.execute(SQL).fetchall()


def test_pandas_read_sql(adbc, expected):
    frame = pandas.read_sql(SQL, adbc)
    assert list(frame.columns) == ["priority", "n", "total", "first"]
    assert [tuple(row) for row in frame.itertuples(index=False)] == expected and len(expected) == 5


def test_pandas_read_sql_keeps_arrow_types(adbc):
    frame = pandas.read_sql("SELECT n_nationkey, n_name FROM lake.gold.nation", adbc, dtype_backend="pyarrow")
    assert str(frame.dtypes["n_nationkey"]) in ("int64[pyarrow]", "int32[pyarrow]")
    assert len(frame) == 25


def test_pandas_read_sql_table(adbc):
    assert len(pandas.read_sql_table("region", adbc, schema="gold")) == 5


def test_a_fetched_frame(adbc, expected):
    with adbc.cursor() as cursor:
        frame = cursor.execute(SQL).fetch_df()
    assert [tuple(row) for row in frame.itertuples(index=False)] == expected


def test_polars_read_database(adbc, expected):
    frame = polars.read_database(SQL, adbc)
    assert frame.columns == ["priority", "n", "total", "first"]
    assert frame.rows() == expected


def test_polars_read_database_with_parameters(adbc):
    frame = polars.read_database("SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ?", adbc,
                                 execute_options={"parameters": [6]})
    assert frame.rows() == [("FRANCE",)]


def test_polars_reads_batches(adbc):
    frames = list(polars.read_database("SELECT l_orderkey FROM lake.gold.lineitem", adbc, iter_batches=True))
    with adbc.cursor() as cursor:
        assert sum(map(len, frames)) == cursor.execute("SELECT count(*) FROM lake.gold.lineitem").fetchone()[0]
