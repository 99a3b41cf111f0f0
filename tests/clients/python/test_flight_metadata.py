"""The metadata commands of Flight SQL as the wire carries them: names, types and nullability of the specification."""

from __future__ import annotations

import pyarrow as pa
import pytest

import wire
from door import GOLD, LISTED, STORED, TABLES

TEXT, COUNT = pa.string(), pa.int32()

# Column names and types as FlightSql.proto writes them; a star marks those that are not null.
SCHEMAS = {
    "CommandGetCatalogs": (b"", [("catalog_name*", TEXT)]),
    "CommandGetDbSchemas": (b"", [("catalog_name", TEXT), ("db_schema_name*", TEXT)]),
    "CommandGetTables": (b"", [("catalog_name", TEXT), ("db_schema_name", TEXT), ("table_name*", TEXT),
                               ("table_type*", TEXT)]),
    "CommandGetTableTypes": (b"", [("table_type*", TEXT)]),
    "CommandGetPrimaryKeys": (wire.text(3, "nation"), [
        ("catalog_name", TEXT), ("db_schema_name", TEXT), ("table_name*", TEXT), ("column_name*", TEXT),
        ("key_name", TEXT), ("key_sequence*", COUNT)]),
    "CommandGetXdbcTypeInfo": (b"", [
        ("type_name*", TEXT), ("data_type*", COUNT), ("column_size", COUNT), ("literal_prefix", TEXT),
        ("literal_suffix", TEXT), ("create_params", pa.list_(pa.field("item", TEXT, nullable=False))),
        ("nullable*", COUNT), ("case_sensitive*", pa.bool_()), ("searchable*", COUNT),
        ("unsigned_attribute", pa.bool_()), ("fixed_prec_scale*", pa.bool_()), ("auto_increment", pa.bool_()),
        ("local_type_name", TEXT), ("minimum_scale", COUNT), ("maximum_scale", COUNT), ("sql_data_type*", COUNT),
        ("datetime_subcode", COUNT), ("num_prec_radix", COUNT), ("interval_precision", COUNT)]),
}
FOREIGN = [
    ("pk_catalog_name", TEXT), ("pk_db_schema_name", TEXT), ("pk_table_name*", TEXT), ("pk_column_name*", TEXT),
    ("fk_catalog_name", TEXT), ("fk_db_schema_name", TEXT), ("fk_table_name*", TEXT), ("fk_column_name*", TEXT),
    ("key_sequence*", COUNT), ("fk_key_name", TEXT), ("pk_key_name", TEXT), ("update_rule*", pa.uint8()),
    ("delete_rule*", pa.uint8())]
SCHEMAS["CommandGetImportedKeys"] = (wire.text(3, "lineitem"), FOREIGN)
SCHEMAS["CommandGetExportedKeys"] = (wire.text(3, "orders"), FOREIGN)
SCHEMAS["CommandGetCrossReference"] = (wire.text(3, "orders") + wire.text(6, "lineitem"), FOREIGN)

# SqlInfo codes and the child of the dense union that carries each: text, bool, 64-bit, 32-bit mask, list, map.
INFO_TEXT = [0, 1, 504, 513, 514, 529, 530, 531]
INFO_BOOL = [3, 515, 516, 518, 519, 520, 521, 523, 524, 527, 532, 536, 537, 539, 556, 563, 565, 566, *range(572, 577)]
INFO_LONG = [*range(541, 556), *range(557, 563)]
INFO_MASK = [522, 525, 526, 528, 533, 534, 535, 538, 540, 564, 567]
INFO_LIST = [508, 509, 510, 511, 512]
INFO_MAP = [517]


def shape(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name + ("" if field.nullable else "*"), field.type) for field in schema]


def tables(admin, body: bytes = b"") -> list[dict]:
    return admin.query(wire.command("CommandGetTables", body)).to_pylist()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_the_specifications(admin, name):
    body, expected = SCHEMAS[name]
    info = admin.info(wire.command(name, body))
    assert shape(info.schema) == expected
    assert shape(admin.read(info.endpoints[0].ticket).schema) == expected


def test_catalogs_and_schemas_and_tables_are_the_sample_lakes(admin):
    catalogs = admin.query(wire.command("CommandGetCatalogs")).to_pydict()["catalog_name"]
    assert catalogs == ["lake"]
    schemas = admin.query(wire.command("CommandGetDbSchemas")).to_pydict()["db_schema_name"]
    assert {"bronze", "silver", "gold"} <= set(schemas) and schemas == sorted(schemas)
    gold = [row["table_name"] for row in tables(admin) if row["db_schema_name"] == "gold"]
    assert gold == GOLD


@pytest.mark.parametrize("body, expected", [
    (wire.text(3, "line%"), ["lineitem"]), (wire.text(3, "part%"), ["part", "partsupp"]),
    (wire.text(3, "_ation"), ["nation"]), (wire.text(3, "nothing"), []), (wire.text(3, ""), []),
    (wire.text(1, "lake") + wire.text(2, "g%"), GOLD), (wire.text(2, "bronze"), []), (wire.text(1, "pond"), []),
])
def test_patterns_choose_tables(admin, body, expected):
    found = tables(admin, body + wire.text(4, "TABLE"))
    assert [row["table_name"] for row in found if row["db_schema_name"] == "gold"] == expected


@pytest.mark.parametrize("spelling", ["TABLE", "BASE TABLE", "BASETABLE"])
def test_every_spelling_of_a_table_is_understood(admin, spelling):
    assert [row["table_name"] for row in tables(admin, wire.text(4, spelling))] == STORED


def test_a_filter_for_views_finds_no_table(admin):
    assert not {row["table_name"] for row in tables(admin, wire.text(4, "VIEW"))} & set(TABLES)


def test_table_types_are_those_of_the_listing(admin):
    types = admin.query(wire.command("CommandGetTableTypes")).to_pydict()["table_type"]
    assert {row["table_type"] for row in tables(admin)} <= set(types)
    assert types == ["SYSTEM TABLE", "TABLE", "VIEW"]


SYSTEM_TABLES = ["catalogs", "columns", "df_settings", "key_column_usage", "schemata", "table_constraints", "tables",
                 "views"]


@pytest.mark.parametrize("spelling", ["SYSTEM TABLE", "SYSTEMTABLE", "system table"])
def test_the_information_schema_is_listed_where_it_is_asked_for(admin, spelling):
    rows = tables(admin, wire.text(4, spelling))
    assert [row["table_name"] for row in rows] == SYSTEM_TABLES
    assert {(row["catalog_name"], row["db_schema_name"], row["table_type"]) for row in rows} == {
        ("lake", "information_schema", spelling)}


def test_the_information_schema_is_left_out_of_a_listing_of_everything(admin):
    for body in (b"", wire.text(2, "%"), wire.text(4, "TABLE") + wire.text(4, "VIEW")):
        assert [row["table_name"] for row in tables(admin, body)] == LISTED


def test_the_information_schema_is_listed_by_its_name(admin):
    """As tools ask that want its columns: by schema and table, without a type."""
    for schema in ("information_schema", r"information\_schema"):
        (row,) = tables(admin, wire.text(2, schema) + wire.text(3, "schemata") + wire.number(5, 1))
        assert row["table_type"] == "SYSTEM TABLE"
        described = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
        read = admin.query("SELECT * FROM lake.information_schema.schemata").schema
        assert described.names == read.names and described.types == read.types


def test_every_system_table_is_described_as_it_is_read(admin):
    for row in tables(admin, wire.text(4, "SYSTEM TABLE") + wire.number(5, 1)):
        described = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
        read = admin.query(f"SELECT * FROM lake.information_schema.{row['table_name']}").schema
        assert described.names == read.names and described.types == read.types, row["table_name"]


def test_tables_of_all_types_come_in_the_order_of_the_specification(admin):
    rows = tables(admin, b"".join(wire.text(4, name) for name in ("VIEW", "TABLE", "SYSTEM TABLE")))
    places = [(row["catalog_name"], row["db_schema_name"], row["table_name"]) for row in rows]
    assert places == sorted(places) and len(places) == len(LISTED) + len(SYSTEM_TABLES)


def test_tables_with_schema_carry_an_ipc_schema_with_field_metadata(admin):
    rows = tables(admin, wire.text(3, "lineitem") + wire.number(5, 1))
    assert len(rows) == 1
    schema = pa.ipc.read_schema(pa.py_buffer(rows[0]["table_schema"]))
    data = admin.info("SELECT * FROM lake.gold.lineitem").schema
    assert schema.names == data.names and schema.types == data.types
    metadata = schema.field("l_quantity").metadata
    prefix = b"ARROW:FLIGHT:SQL:"
    assert metadata[prefix + b"CATALOG_NAME"] == b"lake" and metadata[prefix + b"SCHEMA_NAME"] == b"gold"
    assert metadata[prefix + b"TABLE_NAME"] == b"lineitem" and metadata[prefix + b"TYPE_NAME"] != b""
    assert metadata[prefix + b"PRECISION"] == b"15" and metadata[prefix + b"SCALE"] == b"2"


def test_result_columns_say_their_type_and_never_a_remark(admin):
    for field in admin.info("SELECT l_quantity, l_comment, 1 AS one FROM lake.gold.lineitem").schema:
        assert field.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"]
        assert b"ARROW:FLIGHT:SQL:REMARKS" not in field.metadata, "JDBC would show it as the column's label"


def test_primary_keys_are_known(admin):
    body = wire.text(1, "lake") + wire.text(2, "gold") + wire.text(3, "lineitem")
    rows = admin.query(wire.command("CommandGetPrimaryKeys", body)).to_pylist()
    keys = [row["column_name"] for row in sorted(rows, key=lambda row: row["key_sequence"])]
    assert keys == ["l_orderkey", "l_linenumber"]


def info_rows(admin, codes: list[int]) -> list[tuple[int, int, object]]:
    """(code, child of the union, value) of each row."""
    body = b"".join(wire.number(1, code) for code in codes)
    table = admin.query(wire.command("CommandGetSqlInfo", body)).combine_chunks()
    values = table.column("value").chunk(0)
    return [(code.as_py(), values.type_codes[row].as_py(), values[row].as_py())
            for row, code in enumerate(table.column("info_name"))]


def test_sql_info_gives_every_code_in_its_type_and_none_beside_them(admin):
    rows = info_rows(admin, [])
    codes = [code for code, _, _ in rows]
    assert sorted(codes) == [*range(0, 12), 100, 101, *range(500, 577)]
    child = {code: type_code for code, type_code, _ in rows}
    for wanted, listed in ((0, INFO_TEXT), (1, INFO_BOOL), (2, INFO_LONG), (3, INFO_MASK), (4, INFO_LIST), (5, INFO_MAP)):
        assert {code: child[code] for code in listed} == dict.fromkeys(listed, wanted)
    assert child[8] == 3, "ADBC asserts an Int32 for the transaction support"


def test_sql_info_values_are_the_gateways(admin):
    values = {code: value for code, _, value in info_rows(admin, [])}
    assert "lakegate" in values[0].lower() and values[1]
    assert values[8] == 0, "no transactions"
    assert values[3] is True, "the gateway only reads"
    assert values[504] == '"' and values[531]
    for code in INFO_LIST:
        assert all(isinstance(word, str) and word for word in values[code])


def test_sql_info_by_number_gives_what_was_asked(admin):
    assert [code for code, _, _ in info_rows(admin, [8, 0])] in ([8, 0], [0, 8])
    assert info_rows(admin, [9_999]) == []


def test_the_union_of_sql_info_is_built_as_clients_expect(admin):
    schema = admin.info(wire.command("CommandGetSqlInfo")).schema
    assert schema.names == ["info_name", "value"]
    assert schema.field(0).type == pa.uint32()
    union = schema.field(1).type
    assert union.mode == "dense" and union.type_codes == [0, 1, 2, 3, 4, 5]
    kinds = [union.field(index).type for index in range(6)]
    assert kinds[:4] == [pa.string(), pa.bool_(), pa.int64(), pa.int32()]
    assert pa.types.is_list(kinds[4]) and pa.types.is_map(kinds[5])


def test_xdbc_types_cover_every_type_of_the_sample(admin):
    rows = admin.query(wire.command("CommandGetXdbcTypeInfo")).to_pylist()
    names = {row["type_name"] for row in rows}
    columns = admin.query("SELECT DISTINCT data_type FROM lake.information_schema.columns").to_pydict()["data_type"]
    assert {name.split("(")[0] for name in columns} <= names
    one = admin.query(wire.command("CommandGetXdbcTypeInfo", wire.number(1, 4))).to_pylist()
    assert one and {row["data_type"] for row in one} == {4}
