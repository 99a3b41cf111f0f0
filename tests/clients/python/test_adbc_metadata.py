"""What ADBC asks about the lake: objects at every depth, table schemas, types, info, current catalog and schema."""

from __future__ import annotations

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pytest

from door import GOLD, TABLES


def objects(connection, **filters) -> dict[str, dict[str, dict[str, list[str]]]]:
    """catalog -> schema -> table -> columns, as deep as was asked for."""
    found = {}
    for catalog in connection.adbc_get_objects(**filters).read_all().to_pylist():
        schemas = found.setdefault(catalog["catalog_name"], {})
        for schema in catalog["catalog_db_schemas"] or []:
            tables = schemas.setdefault(schema["db_schema_name"], {})
            for table in schema["db_schema_tables"] or []:
                tables[table["table_name"]] = [column["column_name"] for column in table["table_columns"] or []]
    return found


def test_objects_at_the_depth_of_catalogs(adbc):
    assert objects(adbc, depth="catalogs") == {"lake": {}}


def test_objects_at_the_depth_of_schemas(adbc):
    found = objects(adbc, depth="db_schemas")
    assert {"bronze", "silver", "gold"} <= found["lake"].keys()
    assert all(not tables for tables in found["lake"].values())


def test_objects_at_the_depth_of_tables(adbc):
    found = objects(adbc, depth="tables", db_schema_filter="gold")
    assert sorted(found["lake"]["gold"]) == GOLD
    assert all(not columns for columns in found["lake"]["gold"].values())


def test_objects_at_the_depth_of_columns(adbc):
    found = objects(adbc, depth="all", db_schema_filter="gold")
    assert found["lake"]["gold"]["region"] == ["r_regionkey", "r_name", "r_comment"]
    assert sorted(found["lake"]["gold"]) == GOLD
    assert all(columns for columns in found["lake"]["gold"].values())
    assert objects(adbc, depth="columns", db_schema_filter="gold") == found


@pytest.mark.parametrize("filters, expected", [
    ({"table_name_filter": "part%"}, ["part", "partsupp"]), ({"table_name_filter": "_ation"}, ["nation"]),
    ({"table_name_filter": "none"}, []), ({"catalog_filter": "lake"}, GOLD), ({"db_schema_filter": "g%"}, GOLD),
    ({"table_types_filter": ["VIEW"]}, []),
])
def test_filters_choose_objects(adbc, filters, expected):
    found = objects(adbc, depth="tables", **filters)
    assert sorted(found.get("lake", {}).get("gold", {})) == expected


def test_the_information_schema_is_an_object_where_it_is_asked_for(adbc):
    found = objects(adbc, depth="all", table_types_filter=["SYSTEM TABLE"])["lake"]
    assert [schema for schema, tables in found.items() if tables] == ["information_schema"]
    assert found["information_schema"]["schemata"] == ["catalog_name", "schema_name"]
    assert len(found["information_schema"]) == 8 and all(found["information_schema"].values())
    everything = objects(adbc, depth="tables")["lake"]
    assert not everything["information_schema"] and sorted(everything["gold"]) == GOLD


def test_a_filter_for_columns_chooses_columns(adbc):
    found = objects(adbc, depth="all", table_name_filter="nation", column_name_filter="n_n%")
    assert found["lake"]["gold"]["nation"] == ["n_nationkey", "n_name"]
    found = objects(adbc, depth="all", table_name_filter="nation", column_name_filter="n%key")
    assert found["lake"]["gold"]["nation"] == ["n_nationkey", "n_regionkey"]


def test_the_columns_of_an_object_say_their_position(adbc):
    catalogs = adbc.adbc_get_objects(depth="all", table_name_filter="nation", db_schema_filter="gold").read_all().to_pylist()
    (schema,) = [s for s in catalogs[0]["catalog_db_schemas"] if s["db_schema_name"] == "gold"]
    (table,) = schema["db_schema_tables"]
    assert table["table_type"] in ("TABLE", "BASE TABLE")
    assert [column["ordinal_position"] for column in table["table_columns"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("table", TABLES)
def test_the_schema_of_a_table_is_that_of_its_rows(adbc, table):
    described = adbc.adbc_get_table_schema(table, catalog_filter="lake", db_schema_filter="gold")
    with adbc.cursor() as cursor:
        rows = cursor.execute(f"SELECT * FROM lake.gold.{table} LIMIT 1").fetch_arrow_table().schema
    assert described.names == rows.names and described.types == rows.types
    assert [field.nullable for field in described] == [field.nullable for field in rows]


def test_the_schema_of_an_absent_table_is_an_error(adbc):
    with pytest.raises(dbapi.Error):
        adbc.adbc_get_table_schema("nothing", catalog_filter="lake", db_schema_filter="gold")


def test_table_types(adbc):
    types = adbc.adbc_get_table_types()
    assert "VIEW" in types and {"TABLE", "BASE TABLE"} & set(types)


def test_info_names_vendor_driver_and_versions(adbc):
    info = adbc.adbc_get_info()
    assert "lakegate" in info["vendor_name"].lower()
    assert info["vendor_version"] and info["vendor_arrow_version"] and info["driver_name"]
    assert info.get("vendor_sql", True) is True and info.get("vendor_substrait", False) is False


def nations(connection) -> int:
    """How many rows the table `nation` of the current schema has; asked with a cursor of its own, for a cursor keeps
    the statement that it has prepared, and with it the schema of that time."""
    with connection.cursor() as cursor:
        return cursor.execute("SELECT count(*) FROM nation").fetchone()[0]


def test_the_current_catalog_and_schema_are_read_and_set(adbc):
    assert (adbc.adbc_current_catalog, adbc.adbc_current_db_schema) == ("lake", "gold")
    assert nations(adbc) == 25
    adbc.adbc_current_db_schema = "silver"
    assert adbc.adbc_current_db_schema == "silver"
    with pytest.raises(dbapi.Error, match="lake.silver.nation"):
        nations(adbc)
    adbc.adbc_current_db_schema = "gold"
    adbc.adbc_current_catalog = "lake"
    assert nations(adbc) == 25


def test_a_schema_that_is_not_there_cannot_be_current(adbc):
    with pytest.raises(dbapi.Error, match="schema"):
        adbc.adbc_current_db_schema = "nowhere"
    assert adbc.adbc_current_db_schema == "gold"
    with pytest.raises(dbapi.Error, match="catalog"):
        adbc.adbc_current_catalog = "pond"
    assert adbc.adbc_current_catalog == "lake"


def test_a_connection_may_start_in_a_schema(door):
    password = door.users["admin"]
    connection = dbapi.connect(door.flight, db_kwargs={"username": "admin", "password": password},
                               conn_kwargs={"adbc.connection.db_schema": "bronze"}, autocommit=True)
    with connection:
        assert connection.adbc_current_db_schema == "bronze"
        with connection.cursor() as cursor:
            assert cursor.execute("SELECT count(*) FROM gold.nation").fetchall() == [(25,)]


def test_set_and_use_change_the_session(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SET schema = 'bronze'")
        assert adbc.adbc_current_db_schema == "bronze"
        cursor.execute("USE lake.gold")
        assert adbc.adbc_current_db_schema == "gold"
        cursor.execute("SET TIME ZONE '+02:00'")
        assert cursor.execute("SHOW timezone").fetchall() == [("timezone", "+02:00")]


def test_statistics_that_are_not_kept_are_refused_by_name(adbc):
    with pytest.raises(dbapi.NotSupportedError):
        adbc.adbc_get_statistics(approximate=True)


def test_metadata_is_plain_text(adbc):
    schema = adbc.adbc_get_objects(depth="all").read_all().schema
    assert "view" not in str(schema)
    assert schema.field("catalog_name").type == pa.string()
