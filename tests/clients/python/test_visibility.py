"""Who sees what: the viewer knows of gold alone, in every metadata call of every protocol; denied equals absent."""

from __future__ import annotations

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pytest

import wire
from door import TABLES

HIDDEN = {"viewer": {"bronze", "silver"}, "scientist": {"bronze"}, "engineer": set(), "admin": set()}
SEEN = {"viewer": {"gold"}, "scientist": {"silver", "gold"}, "engineer": {"bronze", "silver", "gold"},
        "admin": {"bronze", "silver", "gold"}}
ZONES = {"bronze", "silver", "gold"}
USERS = list(HIDDEN)


@pytest.mark.parametrize("user", USERS)
def test_flight_sql_lists_what_the_user_may_know(door, user):
    client = door.flight_as(user)
    schemas = set(client.query(wire.command("CommandGetDbSchemas")).to_pydict()["db_schema_name"])
    assert schemas & ZONES == SEEN[user]
    for body in (b"", wire.number(5, 1), wire.text(2, "%"), wire.text(2, "bronze"), wire.text(2, "silver")):
        tables = client.query(wire.command("CommandGetTables", body)).to_pylist()
        assert not {row["db_schema_name"] for row in tables} & HIDDEN[user]


@pytest.mark.parametrize("user", USERS)
def test_adbc_lists_what_the_user_may_know(door, user):
    with door.adbc_as(user) as connection:
        for depth in ("db_schemas", "tables", "all"):
            catalogs = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
            schemas = {schema["db_schema_name"] for catalog in catalogs for schema in catalog["catalog_db_schemas"]}
            assert schemas & ZONES == SEEN[user]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("sql, column", [
    ("SHOW SCHEMAS", "schema_name"), ("SHOW TABLES", "table_schema"),
    ("SELECT * FROM lake.information_schema.schemata", "schema_name"),
    ("SELECT * FROM lake.information_schema.tables", "table_schema"),
    ("SELECT DISTINCT table_schema FROM lake.information_schema.columns", "table_schema"),
    ("SELECT * FROM lake.information_schema.table_constraints", "table_schema"),
    ("SELECT * FROM lake.information_schema.key_column_usage", "table_schema"),
])
def test_sql_lists_what_the_user_may_know(door, user, sql, column):
    for found in (door.flight_as(user).query(sql), door.rest_as(user).table(sql)):
        zones = set(found.to_pydict()[column]) & ZONES
        assert not zones & HIDDEN[user] and "gold" in zones


@pytest.mark.parametrize("user", USERS)
def test_rest_lists_what_the_user_may_know(door, user):
    response = door.rest_as(user).get("/v1/datasets")
    assert response.status_code == 200
    assert all(f"lake.gold.{table}" in response.text for table in TABLES)
    assert not any(f"lake.{zone}." in response.text for zone in HIDDEN[user])


@pytest.mark.parametrize("user, schema", [(user, schema) for user in USERS for schema in HIDDEN[user]])
def test_a_hidden_schema_is_told_as_an_absent_one(door, user, schema):
    client = door.flight_as(user)
    said = []
    for name in (schema, "nowhere"):
        with pytest.raises(pa.ArrowKeyError) as caught:
            client.query(f"SELECT * FROM lake.{name}.secrets")
        text = str(caught.value).split(". gRPC client debug context")[0]
        said.append(text.replace(f"lake.{name}.", "lake.X."))
    assert said[0] == said[1]
    rest = door.rest_as(user)
    answers = []
    for name in (schema, "nowhere"):
        response = rest.get(rest.dataset(f"lake.{name}.secrets"))
        problem = response.json()
        known = {key: problem.get(key) for key in ("title", "detail", "code", "type", "hint")}
        answers.append((response.status_code, str(known).replace(f"lake.{name}.", "lake.X.")))
    assert answers[0] == answers[1] and answers[0][0] == 404


@pytest.mark.parametrize("user, schema", [(user, schema) for user in USERS for schema in HIDDEN[user]])
def test_a_hidden_schema_cannot_become_current(door, user, schema):
    said = []
    with door.adbc_as(user) as connection:
        for name in (schema, "nowhere"):
            with pytest.raises(dbapi.Error) as caught:
                connection.adbc_current_db_schema = name
            said.append(str(caught.value).replace(name, "X"))
        assert connection.adbc_current_db_schema == "gold"
    assert said[0] == said[1]


@pytest.mark.parametrize("user", USERS)
def test_a_suggestion_names_only_what_the_user_may_know(door, user):
    with pytest.raises(pa.ArrowKeyError) as caught:
        door.flight_as(user).query("SELECT * FROM lake.gold.lineitm")
    assert "lake.gold.lineitem" in str(caught.value)
    assert not any(f"lake.{zone}." in str(caught.value) for zone in HIDDEN[user])


@pytest.mark.parametrize("user", USERS)
def test_every_user_reads_gold(door, user):
    count = "SELECT count(*) AS n FROM lake.gold.supplier"
    found = door.flight_as(user).query(count)
    assert found.column("n")[0].as_py() > 0
    assert door.rest_as(user).table(count).to_pylist() == found.to_pylist()
