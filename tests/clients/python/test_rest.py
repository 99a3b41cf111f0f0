"""POST /v1/sql: every format, parameters, sessions, limits, streaming, credentials and problems."""

from __future__ import annotations

import base64
import csv
import datetime
import io
import json
import math
import time
from decimal import Decimal

import pyarrow as pa
import pytest
import requests

from door import ARROW, arrow_table

FORMATS = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv", "arrow": ARROW}
ORDERS = ("SELECT o_orderkey, o_totalprice, o_orderdate, o_orderpriority, o_shippriority FROM lake.gold.orders "
          "WHERE o_orderkey < 200 ORDER BY o_orderkey")


def exact(text: str):
    """JSON with its decimals as they are written."""
    return json.loads(text, parse_float=Decimal)


def rows_of(response: requests.Response, name: str) -> list[dict]:
    """The rows of an answer as plain text values, whatever its format."""
    assert response.status_code == 200, response.text
    if name == "json":
        rows = exact(response.text)["rows"]
    elif name == "ndjson":
        rows = [exact(line) for line in response.text.splitlines()]
    elif name == "csv":
        rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    else:
        rows = arrow_table(response).to_pylist()
    return [{key: str(value) for key, value in row.items()} for row in rows]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_rows(rest, name):
    expected = [{key: str(value) for key, value in row.items()} for row in rest.table(ORDERS).to_pylist()]
    response = rest.sql(ORDERS, FORMATS[name])
    assert response.headers["content-type"].split(";")[0] == FORMATS[name]
    assert rows_of(response, name) == expected and len(expected) > 10


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_may_stand_in_the_address(rest, name):
    response = rest.post(f"/v1/sql?format={name}", {"sql": "SELECT 7 AS n"}, accept="*/*")
    assert response.headers["content-type"].split(";")[0] == FORMATS[name]
    assert rows_of(response, name) == [{"n": "7"}]


@pytest.mark.parametrize("name", FORMATS)
def test_no_rows_is_an_answer_in_every_format(rest, name):
    response = rest.sql("SELECT r_regionkey, r_name FROM lake.gold.region WHERE false", FORMATS[name])
    assert rows_of(response, name) == []
    if name == "csv":
        assert response.text == "r_regionkey,r_name\r\n"
    if name == "arrow":
        assert arrow_table(response).schema.names == ["r_regionkey", "r_name"]


def test_the_json_answer_describes_itself(rest):
    response = rest.sql("SELECT l_orderkey, l_tax, l_shipdate FROM lake.gold.lineitem ORDER BY 1, 2, 3 LIMIT 2")
    document = response.json()
    assert [(column["name"], column["type"]) for column in document["schema"]] == [
        ("l_orderkey", "BIGINT"), ("l_tax", "DECIMAL(15,2)"), ("l_shipdate", "DATE")]
    assert document["row_count"] == len(document["rows"]) == 2
    assert document["request_id"] == response.headers["x-request-id"]
    assert response.headers["cache-control"] == "no-store" and response.headers["x-content-type-options"] == "nosniff"


def test_a_request_may_bring_its_own_name(rest):
    response = rest.session.post(rest.base + "/v1/sql", json={"sql": "SELECT 1"}, headers={"x-request-id": "pay-day.7"},
                                 timeout=30)
    assert response.headers["x-request-id"] == response.json()["request_id"] == "pay-day.7"


def test_rows_may_be_arrays_and_decimals_texts(rest):
    sql = "SELECT 1 AS a, CAST('1.50' AS DECIMAL(5, 2)) AS b, 2 AS a"
    body = {"sql": sql}
    assert exact(rest.post("/v1/sql", body).text)["rows"] == [{"a": 1, "b": Decimal("1.50"), "a_2": 2}]
    assert rest.post("/v1/sql?rows=arrays&decimals=string", body).json()["rows"] == [[1, "1.50", 2]]


def test_json_values_say_what_they_are(rest):
    sql = ("SELECT true AS b, CAST('NaN' AS DOUBLE) AS n, CAST('-Infinity' AS DOUBLE) AS i, X'00ff' AS x, NULL AS nothing, "
           "DATE '1996-02-29' AS d, TIMESTAMP '2024-02-29 12:30:15' AS t, [1, NULL] AS l, named_struct('k', 'v') AS s, "
           "CAST('12345678901234567890.12' AS DECIMAL(22, 2)) AS big, 9007199254740993 AS long, '\"q\" \n ☃' AS text")
    (row,) = exact(rest.sql(sql).text)["rows"]
    assert row["t"].startswith("2024-02-29T12:30:15")
    del row["t"]
    assert row == {"b": True, "n": "NaN", "i": "-Infinity", "x": base64.b64encode(b"\x00\xff").decode(), "nothing": None,
                   "d": "1996-02-29", "l": [1, None], "s": {"k": "v"}, "big": Decimal("12345678901234567890.12"),
                   "long": 9007199254740993, "text": '"q" \n ☃'}


@pytest.mark.parametrize("accept, name", [
    ("*/*", "json"), ("text/*", "csv"), ("application/json;q=0.2, text/csv;q=0.9", "csv"), ("application/jsonl", "ndjson"),
    ("text/html, application/xhtml+xml, */*;q=0.8", "json"), (f"{ARROW}, application/json", "arrow"),
])
def test_the_best_liked_format_is_sent(rest, accept, name):
    response = rest.sql("SELECT 1 AS n", accept)
    assert response.headers["content-type"].split(";")[0] == FORMATS[name]


def test_a_format_that_is_not_made_is_refused(rest):
    response = rest.sql("SELECT 1", "image/png")
    assert response.status_code == 406 and "text/csv" in response.text


@pytest.mark.parametrize("sql, params, expected", [
    ("SELECT n_name AS v FROM lake.gold.nation WHERE n_nationkey = ?", [6], "FRANCE"),
    ("SELECT n_name AS v FROM lake.gold.nation WHERE n_nationkey = $1 AND n_regionkey = $2", [6, 3], "FRANCE"),
    ("SELECT count(*) AS v FROM lake.gold.orders WHERE o_orderdate < ?", ["1992-01-01"], "0"),
    ("SELECT CAST(? AS DECIMAL(10, 2)) AS v", ["12.30"], "12.30"), ("SELECT CAST(? AS DOUBLE) AS v", [0.5], "0.5"),
    ("SELECT CAST(? AS BOOLEAN) AS v", [True], "True"), ("SELECT CAST(? AS VARCHAR) AS v", [None], "None"),
    ("SELECT ? AS v", ["'; DROP TABLE x"], "'; DROP TABLE x"),
])
def test_parameters_are_values(rest, sql, params, expected):
    assert rows_of(rest.sql(sql, params=params), "json") == [{"v": expected}]


@pytest.mark.parametrize("params, position", [(["x"], "$1"), ([], "$1"), ([1, 2], "$2")])
def test_a_parameter_that_does_not_fit_is_named(rest, params, position):
    response = rest.sql("SELECT * FROM lake.gold.nation WHERE n_nationkey = ?", params=params)
    assert response.status_code == 400 and response.json()["code"] == "LG1007" and position in response.json()["detail"]


def test_catalog_and_schema_place_unqualified_names(rest):
    sql = "SELECT count(*) AS n FROM nation"
    assert rest.table(sql).to_pylist() == [{"n": 25}]
    assert rest.table(sql, catalog="lake", schema="gold").to_pylist() == [{"n": 25}]
    assert rest.sql(sql, schema="bronze").status_code == 404
    assert rest.sql(sql, schema="nowhere").status_code in (400, 404)
    assert rest.table(sql).to_pylist() == [{"n": 25}], "a call's session ends with it"


def test_a_limit_cuts(rest):
    sql = "SELECT o_orderkey FROM lake.gold.orders ORDER BY o_orderkey"
    assert [row["o_orderkey"] for row in rest.sql(sql, limit=3).json()["rows"]] == [1, 2, 3]
    assert rest.sql("SELECT * FROM lake.gold.region", limit=100).json()["row_count"] == 5
    assert rest.sql("SELECT * FROM lake.gold.region", limit=0).json()["rows"] == []


def test_settings_are_refused_because_a_call_has_no_session(rest):
    for sql in ("SET schema = 'bronze'", "USE lake.bronze"):
        response = rest.sql(sql)
        assert response.status_code == 400 and "schema" in response.json()["hint"]


def test_csv_keeps_null_and_empty_apart_and_quotes(rest):
    sql = "SELECT NULL AS a, '' AS b, 'x,\"y\"' AS c, concat('two', chr(10), 'lines') AS d"
    assert rest.sql(sql, "text/csv").text == 'a,b,c,d\r\n,"","x,""y""","two\nlines"\r\n'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@SUM(A1)", "\tx", "=HYPERLINK(\"http://x\")"])
def test_csv_formulas_are_made_harmless_on_request(rest, text):
    body = {"sql": "SELECT ? AS v, -5 AS n", "params": [text]}
    plain = list(csv.reader(io.StringIO(rest.post("/v1/sql", body, "text/csv").text, newline="")))
    safe = list(csv.reader(io.StringIO(rest.post("/v1/sql?safe=1", body, "text/csv").text, newline="")))
    assert plain[1] == [text, "-5"]
    assert safe[1] == ["'" + text, "-5"]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_are_streamed(rest, name):
    """The first bytes arrive while the last ones are not made: the answer would take hours."""
    sql = "SELECT a.l_orderkey, b.l_comment FROM lake.gold.lineitem a, lake.gold.lineitem b"
    started = time.monotonic()
    body = {"sql": sql}
    with rest.session.post(rest.base + "/v1/sql", json=body, headers={"accept": FORMATS[name]}, stream=True,
                           timeout=60) as response:
        assert response.status_code == 200
        pieces = response.iter_content(65536)
        assert sum(len(next(pieces)) for _ in range(4)) > 0
    assert time.monotonic() - started < 60
    assert rest.sql("SELECT 1").status_code == 200


def test_a_large_answer_arrives_whole(rest):
    count = rest.table("SELECT count(*) AS n, sum(l_linenumber) AS s FROM lake.gold.lineitem").to_pylist()[0]
    table = rest.table("SELECT l_linenumber FROM lake.gold.lineitem")
    assert (table.num_rows, pa.compute.sum(table.column(0)).as_py()) == (count["n"], count["s"])


def test_an_answer_that_fails_in_its_middle_is_seen_to_be_broken(rest):
    sql = ("SELECT 1 / (CASE WHEN l_orderkey > 500000 THEN 0 ELSE 1 END) AS x FROM lake.gold.lineitem "
           "ORDER BY l_orderkey")
    for name in FORMATS:
        body = {"sql": sql}
        try:
            response = rest.session.post(rest.base + "/v1/sql", json=body, headers={"accept": FORMATS[name]}, timeout=120)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
            continue
        assert response.status_code == 400 and response.json()["code"] == "LG1008", name


def test_basic_and_bearer_open_the_door(door):
    header = base64.b64encode(f"viewer:{door.users['viewer']}".encode()).decode()
    for value in (f"Basic {header}", f"basic {header.rstrip('=')}", f"Bearer {door.token('viewer')}"):
        response = requests.post(door.rest + "/v1/sql", json={"sql": "SELECT 1 AS n"}, headers={"authorization": value},
                                 timeout=30)
        assert response.status_code == 200 and response.json()["rows"] == [{"n": 1}], value


@pytest.mark.parametrize("path", ["/v1/sql", "/v1/datasets", "/v1/datasets/lake.gold.nation", "/v1/nothing", "/nothing"])
def test_without_credentials_not_even_a_path_is_known(door, path):
    response = requests.get(door.rest + path, timeout=30)
    problem = response.json()
    assert response.status_code == 401 and problem["code"] == "LG2001"
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("body, status, words", [
    (b"{\"sql\": SELECT}", 400, "line 1, column 9"), (b"", 400, "body"), (b"[]", 400, "body"),
    (b"{\"sql\": \"SELECT 1\", \"parms\": []}", 400, "parms"), (b"{}", 400, "sql"), (b"{\"sql\": 1}", 400, "string"),
    (b"{\"sql\": \"SELECT 1\", \"limit\": -1}", 400, "-1"), (b"\xff\xfe", 400, "body"),
])
def test_a_body_that_cannot_be_read_is_explained(rest, body, status, words):
    response = rest.session.post(rest.base + "/v1/sql", data=body, headers={"content-type": "application/json"}, timeout=30)
    assert response.status_code == status and words in response.json()["detail"], response.text


def test_a_body_of_another_media_type_is_refused(rest):
    response = rest.session.post(rest.base + "/v1/sql", data="sql=SELECT 1",
                                 headers={"content-type": "application/x-www-form-urlencoded"}, timeout=30)
    assert response.status_code == 415 and "application/json" in response.text


def test_an_unknown_argument_is_refused_with_the_nearest(rest):
    response = rest.post("/v1/sql?formt=csv", {"sql": "SELECT 1"})
    assert response.status_code == 400 and "format" in response.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused(rest, method):
    response = rest.session.request(method, rest.base + "/v1/sql", timeout=30)
    assert response.status_code == 405 and response.headers["content-type"] == "application/problem+json"


def test_a_path_that_is_not_there_is_a_problem(rest):
    response = rest.get("/v1/nothing")
    assert response.status_code == 404 and response.json()["code"] == "LG2011"


def test_health_needs_no_credentials(door):
    response = requests.get(door.rest + "/health", timeout=30)
    assert response.status_code == 200 and response.json() == {"status": "ok"}


def test_the_operators_listener_is_apart(door):
    for path, words in (("/livez", "alive"), ("/readyz", "ok lake"), ("/metrics", "lakegate_queries")):
        assert words in requests.get(door.admin + path, timeout=30).text
        assert requests.get(door.rest + path, timeout=30).status_code == 401


def test_numbers_come_back_exactly(rest):
    values = [0.1, 1e300, 5e-324, -0.0, 2**53 - 1]
    columns = ", ".join(f"CAST('{value!r}' AS DOUBLE) AS c{index}" for index, value in enumerate(values))
    (row,) = rest.sql(f"SELECT {columns}").json()["rows"]
    assert list(row.values()) == values and math.copysign(1, row["c3"]) == -1


def test_dates_before_the_epoch_are_dates(rest):
    (row,) = rest.sql("SELECT DATE '0001-01-01' AS a, DATE '1582-10-15' AS b").json()["rows"]
    assert [datetime.date.fromisoformat(value) for value in row.values()] == [datetime.date(1, 1, 1),
                                                                               datetime.date(1582, 10, 15)]
