"""/v1/datasets: the listing, a dataset, its schema, a preview, and queries with columns, filters, order and pages."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pytest

from door import ARROW, GOLD, LISTED, arrow_table

NATION = "/v1/datasets/lake.gold.nation"
LINEITEM = "/v1/datasets/lake.gold.lineitem"


def pages(rest, path: str, body: dict) -> list[dict]:
    """All rows of a query, page by page; no page is longer than the limit."""
    rows, cursor = [], None
    while True:
        ask = body if cursor is None else body | {"cursor": cursor}
        answer = rest.post(path + "/query", ask)
        assert answer.status_code == 200, answer.text
        page = json.loads(answer.text, parse_float=Decimal)
        assert page["row_count"] == len(page["rows"]) <= body["limit"]
        rows += page["rows"]
        cursor = page["next_cursor"]
        assert page["truncated"] is (cursor is not None)
        if cursor is None:
            return rows


def test_the_listing_has_every_dataset_once(rest):
    listing = rest.get("/v1/datasets").json()
    assert [entry["name"] for entry in listing["datasets"]] == LISTED
    gold = [entry["id"] for entry in listing["datasets"] if entry["schema"] == "gold"]
    assert gold == [f"lake.gold.{table}" for table in GOLD]
    assert listing["next_cursor"] is None and listing["request_id"]
    assert listing["datasets"][1] == {"id": "lake.gold.customer", "catalog": "lake", "schema": "gold", "name": "customer",
                                      "kind": "table"}


def test_the_listing_is_paged(rest):
    names, cursor = [], None
    for _ in range(10):
        page = rest.get("/v1/datasets", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        names += [entry["name"] for entry in page["datasets"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == LISTED


@pytest.mark.parametrize("params, expected", [
    ({"search": "PART"}, ["part", "partsupp"]), ({"schema": "bronze"}, ["events"]), ({"catalog": "pond"}, []),
    ({"catalog": "lake", "schema": "gold", "search": "nation"}, ["nation"]),
])
def test_the_listing_is_filtered(rest, params, expected):
    assert [entry["name"] for entry in rest.get("/v1/datasets", params=params).json()["datasets"]] == expected


def test_a_dataset_describes_itself(rest):
    dataset = rest.get(LINEITEM).json()
    assert dataset["id"] == "lake.gold.lineitem" and dataset["primary_key"] == ["l_orderkey", "l_linenumber"]
    assert len(dataset["columns"]) == 16 and dataset["comment"]
    quantity = dataset["columns"][4]
    assert (quantity["name"], quantity["type"], quantity["nullable"]) == ("l_quantity", "DECIMAL(15,2)", False)
    assert quantity["arrow_type"] == "Decimal128(15, 2)" and quantity["comment"]


def test_a_schema_comes_as_json_and_as_arrow(rest):
    columns = rest.get(LINEITEM + "/schema").json()["columns"]
    assert columns == rest.get(LINEITEM).json()["columns"]
    response = rest.get(LINEITEM + "/schema", ARROW)
    schema = arrow_table(response).schema
    assert schema.names == [column["name"] for column in columns]
    assert schema.field("l_shipdate").type == pa.date32()


def test_a_preview_is_short(rest):
    assert rest.get(LINEITEM + "/preview").json()["row_count"] == 20
    assert rest.get(LINEITEM + "/preview", params={"limit": 3}).json()["row_count"] == 3
    assert rest.get(NATION + "/preview", "text/csv").text.count("\r\n") == 21
    assert rest.get(LINEITEM + "/preview", params={"limit": 10**6}).status_code == 400


@pytest.mark.parametrize("name", ["lake.gold.nothing", "lake.nowhere.nation", "pond.gold.nation"])
@pytest.mark.parametrize("tail", ["", "/schema", "/preview", "/query"])
def test_an_absent_dataset_is_not_found(rest, name, tail):
    response = rest.get(f"/v1/datasets/{name}{tail}")
    assert response.status_code == 404 and response.json()["code"] == "LG1005" and name in response.json()["detail"]


@pytest.mark.parametrize("name", ["nation", "gold.nation", "a.b.c.d", "lake.gold.\"nation"])
def test_a_malformed_id_is_explained(rest, name):
    response = rest.get(rest.dataset(name, "/schema"))
    assert response.status_code == 400 and "catalog.schema.table" in response.json()["detail"]


def test_a_query_chooses_columns_and_order(rest):
    arguments = {"columns": "n_name,n_nationkey", "order": "n_name:desc", "limit": 2}
    by_arguments = rest.get(NATION + "/query", params=arguments).json()["rows"]
    body = {"columns": ["n_name", "n_nationkey"], "order": [{"column": "n_name", "direction": "desc"}], "limit": 2}
    by_body = rest.post(NATION + "/query", body).json()["rows"]
    assert by_arguments == by_body == [{"n_name": "VIETNAM", "n_nationkey": 21}, {"n_name": "UNITED STATES", "n_nationkey": 24}]


def test_without_a_limit_a_query_gives_everything(rest):
    response = rest.get(LINEITEM + "/query", ARROW, params={"columns": "l_orderkey"})
    assert arrow_table(response).num_rows == rest.table("SELECT count(*) AS n FROM lake.gold.lineitem").column("n")[0].as_py()


FILTERS = [
    ({"column": "n_nationkey", "op": "eq", "value": 6}, "n_nationkey = 6"),
    ({"column": "n_nationkey", "op": "ne", "value": 6}, "n_nationkey <> 6"),
    ({"column": "n_nationkey", "op": "lt", "value": 6}, "n_nationkey < 6"),
    ({"column": "n_nationkey", "op": "le", "value": 6}, "n_nationkey <= 6"),
    ({"column": "n_nationkey", "op": "gt", "value": 20}, "n_nationkey > 20"),
    ({"column": "n_nationkey", "op": "ge", "value": "20"}, "n_nationkey >= 20"),
    ({"column": "n_name", "op": "in", "value": ["FRANCE", "PERU", "ATLANTIS"]}, "n_name IN ('FRANCE', 'PERU')"),
    ({"column": "n_nationkey", "op": "in", "value": []}, "false"),
    ({"column": "n_nationkey", "op": "between", "value": [5, 9]}, "n_nationkey BETWEEN 5 AND 9"),
    ({"column": "n_name", "op": "like", "value": "%IA"}, "n_name LIKE '%IA'"),
    ({"column": "n_name", "op": "starts_with", "value": "I"}, "n_name LIKE 'I%'"),
    ({"column": "n_name", "op": "is_null"}, "n_name IS NULL"),
    ({"column": "n_name", "op": "is_not_null"}, "n_name IS NOT NULL"),
    ([{"column": "n_regionkey", "op": "eq", "value": 3}, {"column": "n_name", "op": "gt", "value": "G"}],
     "n_regionkey = 3 AND n_name > 'G'"),
    ({"or": [{"column": "n_regionkey", "op": "eq", "value": 3}, {"column": "n_name", "op": "eq", "value": "CHINA"}]},
     "n_regionkey = 3 OR n_name = 'CHINA'"),
    ({"not": {"and": [{"column": "n_regionkey", "op": "lt", "value": 3}, {"column": "n_name", "op": "lt", "value": "K"}]}},
     "NOT (n_regionkey < 3 AND n_name < 'K')"),
    ({"column": "n_name", "op": "eq", "value": "' OR 1=1 --"}, "false"),
]


@pytest.mark.parametrize("filters, condition", FILTERS, ids=[condition for _, condition in FILTERS])
def test_a_filter_is_the_condition_it_looks_like(rest, filters, condition):
    expected = rest.table(f"SELECT n_nationkey FROM lake.gold.nation WHERE {condition} ORDER BY n_nationkey").to_pylist()
    body = {"columns": ["n_nationkey"], "filters": filters, "order": [{"column": "n_nationkey"}]}
    assert rest.post(NATION + "/query", body).json()["rows"] == expected
    arguments = {"columns": "n_nationkey", "filters": json.dumps(filters), "order": "n_nationkey"}
    assert rest.get(NATION + "/query", params=arguments).json()["rows"] == expected


@pytest.mark.parametrize("column, op, value, condition", [
    ("l_shipdate", "ge", "1998-11-01", "l_shipdate >= DATE '1998-11-01'"),
    ("l_quantity", "lt", 1.5, "l_quantity < 1.5"), ("l_discount", "eq", "0.10", "l_discount = 0.10"),
    ("l_extendedprice", "between", [50000, "50100.50"], "l_extendedprice BETWEEN 50000 AND 50100.50"),
])
def test_a_filter_takes_every_type(rest, column, op, value, condition):
    expected = rest.table(f"SELECT count(*) AS n FROM lake.gold.lineitem WHERE {condition}").column("n")[0].as_py()
    body = {"columns": ["l_orderkey"], "filters": {"column": column, "op": op, "value": value}}
    assert arrow_table(rest.post(LINEITEM + "/query", body, ARROW)).num_rows == expected > 0


@pytest.mark.parametrize("filters, words", [
    ({"column": "n_nam", "op": "eq", "value": "x"}, "n_name"), ({"column": "n_name", "op": "eqq", "value": "x"}, "eqq"),
    ({"column": "n_nationkey", "op": "eq", "value": "six"}, "six"), ({"column": "n_nationkey", "op": "eq", "value": 1.5}, "1.5"),
    ({"column": "n_nationkey", "op": "like", "value": "1%"}, "like"), ({"column": "n_name", "op": "eq"}, "value"),
    ({"column": "n_name", "op": "in", "value": "x"}, "list"), ("n_name = 'x'", "filters"), ({"xor": []}, "xor"),
])
def test_a_filter_that_makes_no_sense_is_explained(rest, filters, words):
    response = rest.post(NATION + "/query", {"filters": filters})
    text = response.json()["detail"] + response.json().get("hint", "")
    assert response.status_code == 400 and words in text, response.text


@pytest.mark.parametrize("body, words", [
    ({"columns": ["n_nam"]}, "n_nam"), ({"columns": []}, "columns"), ({"columns": ["n_name", "n_name"]}, "n_name"),
    ({"order": [{"column": "n_nam"}]}, "n_nam"), ({"order": [{"column": "n_name", "direction": "up"}]}, "up"),
    ({"limit": 0}, "limit"), ({"colums": ["n_name"]}, "colums"),
])
def test_a_query_that_makes_no_sense_is_explained(rest, body, words):
    response = rest.post(NATION + "/query", body)
    assert response.status_code == 400 and words in response.text


@pytest.mark.parametrize("order", [None, [{"column": "n_regionkey"}], [{"column": "n_name", "direction": "desc"}],
                                   [{"column": "n_regionkey", "direction": "desc", "nulls": "first"}, {"column": "n_name"}]])
@pytest.mark.parametrize("limit", [1, 7, 24, 25, 26])
def test_pages_give_each_row_once_and_in_order(rest, order, limit):
    body = {"limit": limit} | ({"order": order} if order else {})
    rows = pages(rest, NATION, body)
    assert sorted(row["n_nationkey"] for row in rows) == list(range(25))
    for term in (order or [])[:1]:
        values = [row[term["column"]] for row in rows]
        assert values == sorted(values, reverse=term.get("direction") == "desc")


def test_pages_with_many_equal_keys_lose_nothing(rest):
    body = {"columns": ["l_shipmode"], "limit": 1500, "order": [{"column": "l_shipmode"}],
            "filters": {"column": "l_shipdate", "op": "between", "value": ["1994-01-01", "1994-01-31"]}}
    expected = rest.table("SELECT l_shipmode, count(*) AS n FROM lake.gold.lineitem WHERE l_shipdate BETWEEN "
                          "DATE '1994-01-01' AND DATE '1994-01-31' GROUP BY 1 ORDER BY 1").to_pylist()
    found = [row["l_shipmode"] for row in pages(rest, LINEITEM, body)]
    assert found == [row["l_shipmode"] for row in expected for _ in range(row["n"])] and len(found) > 3000


def test_a_cursor_is_for_its_caller_dataset_and_query(door, rest):
    body = {"limit": 5, "columns": ["n_name"]}
    cursor = rest.post(NATION + "/query", body).json()["next_cursor"]
    assert rest.post(NATION + "/query", {"cursor": cursor}).json()["row_count"] == 5
    refused = [
        door.rest_as("viewer").post(NATION + "/query", {"cursor": cursor}),
        rest.post("/v1/datasets/lake.gold.region/query", {"cursor": cursor}),
        rest.post(NATION + "/query", {"cursor": cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")}),
        rest.post(NATION + "/query", {"cursor": "nonsense"}),
    ]
    said = {(response.status_code, response.json()["code"], response.json()["detail"]) for response in refused}
    assert len(said) == 1 and refused[0].status_code == 400
    other = rest.post(NATION + "/query", {"cursor": cursor, "columns": ["n_nationkey"]})
    assert other.status_code == 400 and "columns" in other.json()["detail"]


def test_every_changed_letter_of_a_cursor_gets_the_same_error(rest):
    cursor = rest.post(NATION + "/query", {"limit": 5}).json()["next_cursor"]
    said = set()
    for position in range(0, len(cursor) - 1, max(1, len(cursor) // 50)):
        letter = "A" if cursor[position] != "A" else "B"
        response = rest.post(NATION + "/query", {"cursor": cursor[:position] + letter + cursor[position + 1:]})
        said.add((response.status_code, response.json()["code"], response.json()["detail"]))
    assert len(said) == 1 and next(iter(said))[0] == 400


def test_other_formats_give_a_page_too(rest):
    response = rest.post(NATION + "/query", {"limit": 5, "columns": ["n_name"]}, "text/csv")
    assert response.status_code == 200 and response.text.count("\r\n") == 6
    assert response.headers["trailer"].split(", ") == ["x-lakegate-next-cursor", "x-lakegate-report"]
