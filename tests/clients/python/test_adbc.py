"""ADBC through Python's DB-API: statements, results, cursors, transactions that are not there, refusals."""

from __future__ import annotations

import datetime
import decimal
import warnings

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import pyarrow as pa
import pytest

from door import TOKEN_OPTION


def rows(connection, sql: str, parameters=None) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def test_a_query_gives_rows_a_description_and_arrow(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SELECT r_regionkey, r_name FROM lake.gold.region ORDER BY r_regionkey")
        assert [column[0] for column in cursor.description] == ["r_regionkey", "r_name"]
        assert cursor.fetchone() == (0, "AFRICA")
        assert cursor.fetchmany(2) == [(1, "AMERICA"), (2, "ASIA")]
        assert cursor.fetchall() == [(3, "EUROPE"), (4, "MIDDLE EAST")]
        assert cursor.fetchone() is None
        table = cursor.execute("SELECT * FROM lake.gold.nation").fetch_arrow_table()
        assert table.num_rows == 25 and table.schema.field("n_name").type == pa.string()


def test_a_large_result_comes_whole_through_all_endpoints(adbc):
    expected = rows(adbc, "SELECT count(*), sum(l_orderkey), sum(l_linenumber) FROM lake.gold.lineitem")[0]
    with adbc.cursor() as cursor:
        cursor.execute("SELECT l_orderkey, l_linenumber FROM lake.gold.lineitem")
        total = keys = lines = 0
        for batch in cursor.fetch_record_batch():
            total += batch.num_rows
            keys += pa.compute.sum(batch.column(0)).as_py()
            lines += pa.compute.sum(batch.column(1)).as_py()
    assert (total, keys, lines) == tuple(int(value) for value in expected)


def test_partitions_are_read_apart(adbc):
    with adbc.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions("SELECT l_orderkey FROM lake.gold.lineitem")
    assert len(partitions) > 1 and schema.names == ["l_orderkey"]
    total = 0
    for partition in partitions:
        with adbc.cursor() as reader:
            reader.adbc_read_partition(partition)
            total += reader.fetch_arrow_table().num_rows
    assert total == rows(adbc, "SELECT count(*) FROM lake.gold.lineitem")[0][0]


def test_execute_schema_describes_without_running(adbc):
    with adbc.cursor() as cursor:
        schema = cursor.adbc_execute_schema("SELECT 1 / 0 AS x, 'a' AS y")
        assert schema.names == ["x", "y"]


VALUES = [
    (7, "int"), (-(2**62), "long"), (1.5, "float"), (float("inf"), "infinity"), ("it's \"quoted\" ünïcode ☃", "text"),
    ("", "empty text"), (True, "bool"), (datetime.date(1996, 2, 29), "date"), (decimal.Decimal("12345.67"), "decimal"),
    (decimal.Decimal("-0.01"), "small decimal"), (datetime.datetime(2024, 2, 29, 12, 30, 15, 123456), "timestamp"),
    (datetime.time(23, 59, 59, 1), "time"), (b"\x00\xff bytes", "binary"),
]


@pytest.mark.parametrize("value", [value for value, _ in VALUES], ids=[name for _, name in VALUES])
@pytest.mark.parametrize("mark", ["?", "$1"])
def test_a_parameter_comes_back_as_it_went(adbc, value, mark):
    kinds = {int: "BIGINT", float: "DOUBLE", str: "VARCHAR", bool: "BOOLEAN", datetime.date: "DATE",
             decimal.Decimal: "DECIMAL(20, 2)", datetime.datetime: "TIMESTAMP", datetime.time: "TIME", bytes: "BYTEA"}
    assert rows(adbc, f"SELECT CAST({mark} AS {kinds[type(value)]}) AS v", (value,)) == [(value,)]


@pytest.mark.parametrize("mark", ["?", "$1"])
def test_a_parameter_without_a_type_is_text(adbc, mark):
    assert rows(adbc, f"SELECT {mark} AS v", ("x",)) == [("x",)]
    assert rows(adbc, f"SELECT {mark} AS v", (None,)) == [(None,)]


@pytest.mark.parametrize("condition, parameters, expected", [
    ("n_nationkey = ?", (3,), 1), ("n_nationkey = $1", (3,), 1), ("n_nationkey IN (?, ?, ?)", (1, 2, 99), 2),
    ("n_name = ? AND n_regionkey = ?", ("FRANCE", 3), 1), ("n_name = $2 AND n_regionkey = $1", (3, "FRANCE"), 1),
    ("n_nationkey > $1 AND n_nationkey <= $1 + 5", (10,), 5), ("n_name LIKE ?", ("%UNITED%",), 2),
    ("n_name = ?", (None,), 0), ("n_nationkey = ?", (None,), 0), ("n_nationkey = ?", (3.5,), 0),
    ("n_nationkey BETWEEN ? AND ?", (5, 9), 5), ("? = 1", (1,), 25), ("n_name = ?", ("' OR '1'='1",), 0),
])
def test_parameters_of_every_number_and_style_are_values(adbc, condition, parameters, expected):
    assert rows(adbc, f"SELECT count(*) FROM lake.gold.nation WHERE {condition}", parameters) == [(expected,)]


def test_typed_parameters_reach_the_scan(adbc):
    sql = ("SELECT count(*) FROM lake.gold.orders WHERE o_orderdate >= ? AND o_orderdate < ? "
           "AND o_totalprice > ? AND o_orderstatus = ?")
    literal = ("SELECT count(*) FROM lake.gold.orders WHERE o_orderdate >= DATE '1995-01-01' "
               "AND o_orderdate < DATE '1996-01-01' AND o_totalprice > 100000.00 AND o_orderstatus = 'F'")
    values = (datetime.date(1995, 1, 1), datetime.date(1996, 1, 1), decimal.Decimal("100000.00"), "F")
    answer = rows(adbc, sql, values)
    assert answer == rows(adbc, literal) and answer[0][0] > 0


def test_a_batch_of_parameters_runs_once_per_row(adbc):
    batch = pa.record_batch({"1": pa.array([0, 3, 99, 3]), "2": pa.array(["A%", "%", "%", "EU%"])})
    with adbc.cursor() as cursor:
        cursor.execute("SELECT r_name FROM lake.gold.region WHERE r_regionkey = ? AND r_name LIKE ?", batch)
        assert cursor.fetchall() == [("AFRICA",), ("EUROPE",), ("EUROPE",)]


def test_a_batch_may_have_many_rows(adbc):
    many = pa.record_batch({"1": pa.array(range(1_000))})
    with adbc.cursor() as cursor:
        cursor.execute("SELECT n_nationkey FROM lake.gold.nation WHERE n_nationkey = ?", many)
        assert sorted(row[0] for row in cursor.fetchall()) == list(range(25))


@pytest.mark.parametrize("sql, parameters, words", [
    ("SELECT * FROM lake.gold.nation WHERE n_nationkey = ?", ("abc",), "$1"),
    ("SELECT * FROM lake.gold.nation WHERE n_nationkey = ?", (), "$1"),
    ("SELECT * FROM lake.gold.nation WHERE n_nationkey = ?", (1, 2), "$2"),
    ("SELECT * FROM lake.gold.orders WHERE o_orderdate = ?", ("yesterday",), "$1"),
    ("SELECT ? + $1", (1, 2), "?"),
])
def test_parameters_that_do_not_fit_are_named(adbc, sql, parameters, words):
    with pytest.raises(dbapi.Error) as caught:
        rows(adbc, sql, parameters)
    assert words in str(caught.value)
    assert rows(adbc, "SELECT 1") == [(1,)]


def test_a_statement_is_prepared_once_and_run_often(adbc):
    with adbc.cursor() as cursor:
        sql = "SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ?"
        assert cursor.adbc_prepare(sql).types == [pa.int64()]
        names = [cursor.execute(sql, (key,)).fetchall() for key in (6, 7, 6)]
    assert names == [[("FRANCE",)], [("GERMANY",)], [("FRANCE",)]]


def test_a_cursor_is_used_again_and_closed_twice(adbc):
    cursor = adbc.cursor()
    for expected in (1, 2, 3):
        assert cursor.execute(f"SELECT {expected}").fetchall() == [(expected,)]
    with pytest.raises(dbapi.Error):
        cursor.execute("SELECT nonsense")
    assert cursor.execute("SELECT 4").fetchone() == (4,)
    cursor.close()
    cursor.close()


def test_a_cursor_left_in_the_middle_of_its_rows_harms_nobody(adbc):
    first = adbc.cursor()
    first.execute("SELECT * FROM lake.gold.lineitem")
    first.fetchone()
    assert rows(adbc, "SELECT 1") == [(1,)]
    first.close()
    assert rows(adbc, "SELECT 2") == [(2,)]


def test_two_cursors_of_a_connection_do_not_share_their_parameters(adbc):
    sql = "SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ?"
    with adbc.cursor() as one, adbc.cursor() as two:
        one.execute(sql, (6,))
        two.execute(sql, (7,))
        assert (one.fetchall(), two.fetchall()) == ([("FRANCE",)], [("GERMANY",)])


def test_a_connection_is_closed_twice(door):
    connection = door.adbc_as("admin")
    connection.close()
    connection.close()


def test_transactions_are_at_most_a_warning(door):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with dbapi.connect(door.flight, db_kwargs={"username": "admin", "password": door.users["admin"]}) as connection:
            assert rows(connection, "SELECT 1") == [(1,)]
            connection.commit()
            connection.rollback()
            assert rows(connection, "SELECT 2") == [(2,)]
    assert all(issubclass(warning.category, adbc_driver_manager.dbapi.Warning) for warning in told)
    with dbapi.connect(door.flight, db_kwargs={"username": "admin", "password": door.users["admin"]},
                       autocommit=True) as connection:
        assert rows(connection, "SELECT 3") == [(3,)]


@pytest.mark.parametrize("sql", [
    "CREATE TABLE lake.gold.t (a INT)", "DROP TABLE lake.gold.nation", "INSERT INTO lake.gold.region VALUES (9, 'x', 'y')",
    "UPDATE lake.gold.region SET r_name = 'x'", "DELETE FROM lake.gold.region", "CREATE VIEW v AS SELECT 1",
    "BEGIN", "COMMIT",
])
def test_statements_that_write_are_refused_by_name(adbc, sql):
    before = rows(adbc, "SELECT count(*) FROM lake.gold.region")
    with pytest.raises(dbapi.NotSupportedError) as caught:
        rows(adbc, sql)
    assert sql.split()[0] in str(caught.value).upper() and "not supported" in str(caught.value)
    assert rows(adbc, "SELECT count(*) FROM lake.gold.region") == before


def test_executemany_of_a_write_is_refused_and_counts_nothing(adbc):
    with adbc.cursor() as cursor:
        with pytest.raises(dbapi.NotSupportedError):
            cursor.executemany("INSERT INTO lake.gold.region VALUES (?, ?, ?)", [(9, "x", "y")])


def test_bulk_ingest_is_refused_by_name(adbc):
    with adbc.cursor() as cursor:
        with pytest.raises(dbapi.NotSupportedError):
            cursor.adbc_ingest("events", pa.table({"a": [1]}), mode="create")


def test_a_wrong_password_is_a_refusal_in_words(door):
    with pytest.raises(dbapi.Error) as caught:
        with dbapi.connect(door.flight, db_kwargs={"username": "admin", "password": "guess"}, autocommit=True) as connection:
            rows(connection, "SELECT 1")
    assert "UNAUTHENTICATED" in str(caught.value).upper() or "UNAUTHORIZED" in str(caught.value).upper()
    assert "guess" not in str(caught.value)


def test_a_token_opens_a_connection_without_a_password(door):
    options = {TOKEN_OPTION: f"Bearer {door.token('viewer')}"}
    with dbapi.connect(door.flight, db_kwargs=options, autocommit=True) as connection:
        assert rows(connection, "SELECT count(*) FROM lake.gold.region") == [(5,)]


def test_two_connections_at_once_keep_their_own_sessions(door):
    with door.adbc_as("admin") as one, door.adbc_as("admin") as two:
        one.adbc_current_db_schema = "bronze"
        assert two.adbc_current_db_schema == "gold"
        with pytest.raises(dbapi.Error):
            rows(one, "SELECT count(*) FROM nation")
        assert rows(two, "SELECT count(*) FROM nation") == [(25,)]


def test_a_query_can_be_cancelled_while_it_runs(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SELECT a.l_comment FROM lake.gold.lineitem a, lake.gold.lineitem b")
        assert cursor.fetchone() is not None
        cursor.adbc_cancel()
        with pytest.raises(dbapi.Error):
            cursor.fetchall()
    assert rows(adbc, "SELECT 1") == [(1,)]
