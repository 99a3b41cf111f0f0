"""What bad input gets, as clients see it: an error that names the thing at fault; the next `SELECT 1` is answered."""

from __future__ import annotations

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pyarrow.flight as flight
import pytest
import requests

from door import ARROW

DEEP = "SELECT " + "(" * 10_000 + "1" + ")" * 10_000
LONG = "SELECT '" + "x" * (20 << 20) + "'"
SUM = "SELECT " + "+".join(["1"] * 2_000) + " AS n"

# What is asked, the pyarrow error, the HTTP status, the error's code, and words that the message has.
CASES = {
    "unknown table": ("SELECT * FROM lake.gold.lineitm", pa.ArrowKeyError, 404, "LG1005", ["lineitm", "lineitem"]),
    "unknown schema": ("SELECT * FROM lake.golden.nation", pa.ArrowKeyError, 404, "LG1005", ["golden"]),
    "unknown column": ("SELECT n_nam FROM lake.gold.nation", pa.ArrowInvalid, 400, "LG1004", ["n_nam", "n_name"]),
    "unknown function": ("SELECT sbustr('a', 1)", pa.ArrowInvalid, 400, "LG1004", ["sbustr"]),
    "syntax": ("SELECT 1,\n  (2 FROM x", pa.ArrowInvalid, 400, "LG1001", ["line 2", "column"]),
    "nothing": ("  ", pa.ArrowInvalid, 400, "LG1002", ["statement"]),
    "two statements": ("SELECT 1; SELECT 2", pa.ArrowInvalid, 400, "LG1002", ["one statement"]),
    "SET of an unknown key": ("SET shema = 'gold'", pa.ArrowInvalid, 400, "LG1006", ["shema", "schema"]),
    "SET of an engine option": ("SET datafusion.runtime.memory_limit = '1K'", pa.ArrowInvalid, 400, "LG1006",
                                ["datafusion.runtime.memory_limit"]),
    "COPY": ("COPY (SELECT 1) TO '/tmp/lakegate-copy.csv'", pa.ArrowNotImplementedError, 501, "LG1003", ["COPY"]),
    "a path as a table": ("SELECT * FROM 'file:///etc/passwd'", pa.ArrowKeyError, 404, "LG1005", ["passwd"]),
    "division by zero": ("SELECT 1 / (n_nationkey - n_nationkey) FROM lake.gold.nation", pa.ArrowInvalid, 400, "LG1008",
                         ["zero"]),
    "a bad cast": ("SELECT CAST(n_name AS INT) FROM lake.gold.nation", pa.ArrowInvalid, 400, "LG1008", ["ALGERIA"]),
}


@pytest.mark.parametrize("name", CASES)
def test_pyarrow_is_told_and_goes_on(admin, name):
    sql, kind, _, code, words = CASES[name]
    with pytest.raises(kind) as caught:
        admin.query(sql)
    message = str(caught.value)
    assert code in message and all(word in message for word in words), message
    assert admin.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


@pytest.mark.parametrize("name", CASES)
def test_adbc_is_told_and_goes_on(adbc, name):
    sql, _, _, code, words = CASES[name]
    with adbc.cursor() as cursor:
        with pytest.raises(dbapi.Error) as caught:
            cursor.execute(sql).fetchall()
        message = str(caught.value)
        assert code in message and all(word in message for word in words), message
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv", ARROW])
def test_rest_is_told_and_goes_on(rest, name, accept):
    sql, _, status, code, words = CASES[name]
    response = rest.sql(sql, accept)
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    problem = response.json()
    assert problem["code"] == code and problem["status"] == status
    assert all(word in response.text for word in words), response.text
    assert rest.sql("SELECT 1").status_code == 200


@pytest.mark.parametrize("sql", ["CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'file:///etc/passwd'",
                                 "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'"])
def test_a_table_over_files_is_refused(admin, sql):
    with pytest.raises(pa.ArrowException, match="(?i)external"):
        admin.query(sql)
    assert admin.query("SELECT 1").num_rows == 1


@pytest.mark.parametrize("sql", [DEEP, LONG], ids=["10,000-deep parentheses", "20 MB of statement"])
def test_too_much_of_a_statement_is_refused_whole(admin, adbc, rest, sql):
    for ask in (lambda: admin.query(sql), lambda: admin.read(flight.Ticket(sql.encode())),
                lambda: adbc.cursor().execute(sql)):
        with pytest.raises((pa.ArrowException, flight.FlightError, dbapi.Error), match="limit|larger than max"):
            ask()
        assert admin.query("SELECT 1").num_rows == 1
    response = rest.sql(sql)
    assert 400 <= response.status_code < 500 and "limit" in response.json()["title"] + response.json().get("detail", "")
    assert rest.sql("SELECT 1").status_code == 200


def test_a_sum_of_two_thousand_terms_is_answered(admin, adbc, rest):
    assert admin.query(SUM).to_pylist() == [{"n": 2000}]
    assert adbc.cursor().execute(SUM).fetchall() == [(2000,)]
    assert rest.table(SUM).to_pylist() == [{"n": 2000}]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic !!!"}, {"authorization": "Bearer nonsense"},
                                     {"authorization": "Digest x"}])
def test_rest_without_a_way_in_is_refused(door, headers):
    response = requests.post(door.rest + "/v1/sql", json={"sql": "SELECT 1"}, headers=headers, timeout=30)
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("application/problem+json")
    assert "Basic" in response.headers["www-authenticate"]


def test_no_statement_leaves_a_file(admin, tmp_path):
    target = tmp_path / "out.csv"
    for sql in (f"COPY lake.gold.nation TO '{target}'", f"COPY (SELECT 1) TO '{target}' STORED AS CSV"):
        with pytest.raises(pa.ArrowException):
            admin.query(sql)
    assert not target.exists()


@pytest.mark.parametrize("sql", ["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM parquet_metadata('x.parquet')",
                                 "SELECT * FROM '/etc/passwd'", "SELECT * FROM \"/etc/passwd\"",
                                 "SELECT * FROM \"file:///etc/passwd\""])
def test_no_function_and_no_path_reads_a_file(admin, sql):
    with pytest.raises(pa.ArrowException) as caught:
        admin.query(sql)
    assert "root:" not in str(caught.value)
    assert admin.query("SELECT 1").num_rows == 1
