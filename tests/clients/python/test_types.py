"""Every SQL type of the engine as a literal: the Arrow type on the wire and the value, through Flight, ADBC and REST."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pytest

UTC = datetime.timezone.utc
BIG = Decimal("12345678901234567890123456789012345.678")

# SQL expression, Arrow type on the wire, value in Python.
CASES = [
    ("true", pa.bool_(), True),
    ("CAST(-128 AS TINYINT)", pa.int8(), -128),
    ("CAST(32767 AS SMALLINT)", pa.int16(), 32767),
    ("CAST(-2147483648 AS INT)", pa.int32(), -2147483648),
    ("9223372036854775807", pa.int64(), 2**63 - 1),
    ("CAST(255 AS TINYINT UNSIGNED)", pa.uint8(), 255),
    ("CAST(65535 AS SMALLINT UNSIGNED)", pa.uint16(), 65535),
    ("CAST(4294967295 AS INT UNSIGNED)", pa.uint32(), 2**32 - 1),
    ("CAST(18446744073709551615 AS BIGINT UNSIGNED)", pa.uint64(), 2**64 - 1),
    ("CAST(1.5 AS REAL)", pa.float32(), 1.5),
    ("CAST(0.1 AS DOUBLE)", pa.float64(), 0.1),
    ("CAST('NaN' AS DOUBLE)", pa.float64(), math.nan),
    ("CAST('Infinity' AS DOUBLE)", pa.float64(), math.inf),
    ("CAST('-Infinity' AS REAL)", pa.float32(), -math.inf),
    ("CAST('-0.0' AS DOUBLE)", pa.float64(), -0.0),
    ("CAST('123.45' AS DECIMAL(10, 2))", pa.decimal128(10, 2), Decimal("123.45")),
    (f"CAST('{BIG}' AS DECIMAL(38, 3))", pa.decimal128(38, 3), BIG),
    ("CAST('-0.000001' AS DECIMAL(10, 6))", pa.decimal128(10, 6), Decimal("-0.000001")),
    ("'plain'", pa.string(), "plain"),
    ("''", pa.string(), ""),
    ("'it''s ünïcode ☃ \U0001F30A'", pa.string(), "it's ünïcode ☃ \U0001F30A"),
    ("arrow_cast('seen', 'Utf8View')", pa.string(), "seen"),
    ("arrow_cast('large', 'LargeUtf8')", pa.large_string(), "large"),
    ("arrow_cast('word', 'Dictionary(Int32, Utf8)')", pa.string(), "word"),
    ("X'00ff10'", pa.binary(), b"\x00\xff\x10"),
    ("arrow_cast(X'00ff', 'BinaryView')", pa.binary(), b"\x00\xff"),
    ("DATE '1969-07-20'", pa.date32(), datetime.date(1969, 7, 20)),
    ("DATE '9999-12-31'", pa.date32(), datetime.date(9999, 12, 31)),
    ("CAST('23:59:59.123456' AS TIME)", pa.time64("ns"), datetime.time(23, 59, 59, 123456)),
    ("TIMESTAMP '2024-02-29 12:30:15.123456'", pa.timestamp("ns"), datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)),
    ("arrow_cast('2024-02-29T12:30:15', 'Timestamp(Second, None)')", pa.timestamp("s"),
     datetime.datetime(2024, 2, 29, 12, 30, 15)),
    ("arrow_cast('2024-02-29T12:30:15.5+00:00', 'Timestamp(Microsecond, Some(\"UTC\"))')", pa.timestamp("us", "UTC"),
     datetime.datetime(2024, 2, 29, 12, 30, 15, 500000, UTC)),
    ("CAST('2024-02-29T12:30:15+02:00' AS TIMESTAMP WITH TIME ZONE)", pa.timestamp("ns", "UTC"),
     datetime.datetime(2024, 2, 29, 10, 30, 15, 0, UTC)),
    ("INTERVAL '1 year 2 months 3 days 4 hours 5 minutes 6.5 seconds'", pa.month_day_nano_interval(),
     (14, 3, (4 * 3600 + 5 * 60 + 6) * 10**9 + 500_000_000)),
    ("[1, 2, NULL]", pa.list_(pa.int64()), [1, 2, None]),
    ("[['a'], []]", pa.list_(pa.list_(pa.string())), [["a"], []]),
    ("named_struct('a', 1, 'b', 'x')", pa.struct([("a", pa.int64()), ("b", pa.string())]), {"a": 1, "b": "x"}),
    ("[named_struct('v', arrow_cast('seen', 'Utf8View'))]", pa.list_(pa.struct([("v", pa.string())])), [{"v": "seen"}]),
    ("NULL", pa.null(), None),
    ("CAST(NULL AS INT)", pa.int32(), None),
    ("CAST(NULL AS VARCHAR)", pa.string(), None),
    ("CAST(NULL AS DECIMAL(5, 1))", pa.decimal128(5, 1), None),
    ("CAST(NULL AS TIMESTAMP)", pa.timestamp("ns"), None),
]
IDS = [sql for sql, _, _ in CASES]


def plain(kind: pa.DataType) -> str:
    """A type in words, without the names and nullability of inner fields that engines choose freely."""
    if pa.types.is_list(kind):
        return f"list<{plain(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ", ".join(f"{field.name}: {plain(field.type)}" for field in kind) + ">"
    return str(kind)


def same(found, expected) -> bool:
    if isinstance(expected, float):
        if math.isnan(expected):
            return math.isnan(found)
        return found == expected and math.copysign(1, found) == math.copysign(1, expected)
    if isinstance(expected, tuple):
        return tuple(found) == expected
    if hasattr(found, "to_pydatetime"):
        found = found.to_pydatetime()
    return found == expected


@pytest.mark.parametrize("sql, kind, value", CASES, ids=IDS)
def test_a_literal_arrives_through_flight(admin, sql, kind, value):
    column = admin.query(f"SELECT {sql} AS v").column("v")
    assert plain(column.type) == plain(kind)
    assert same(column[0].as_py(), value), column[0]


@pytest.mark.parametrize("sql, kind, value", CASES, ids=IDS)
def test_a_literal_arrives_through_adbc(adbc, sql, kind, value):
    with adbc.cursor() as cursor:
        column = cursor.execute(f"SELECT {sql} AS v").fetch_arrow_table().column("v")
    assert plain(column.type) == plain(kind)
    assert same(column[0].as_py(), value), column[0]


@pytest.mark.parametrize("sql, kind, value", CASES, ids=IDS)
def test_a_literal_arrives_through_rest_as_arrow(rest, sql, kind, value):
    column = rest.table(f"SELECT {sql} AS v").column("v")
    assert plain(column.type) == plain(kind)
    assert same(column[0].as_py(), value), column[0]


def test_columns_of_the_lake_have_the_types_of_the_specification(admin):
    schema = admin.info("SELECT * FROM lake.gold.lineitem").schema
    kinds = {field.name: field.type for field in schema}
    assert kinds["l_orderkey"] == pa.int64() and kinds["l_linenumber"] in (pa.int32(), pa.int64())
    assert kinds["l_quantity"] == kinds["l_discount"] == pa.decimal128(15, 2)
    assert kinds["l_shipdate"] == pa.date32() and kinds["l_comment"] == pa.string()


def test_now_has_the_zone_of_the_session(admin):
    kind = admin.info("SELECT now() AS n").schema.field("n").type
    assert pa.types.is_timestamp(kind) and kind.tz in ("UTC", "+00:00")


def test_an_empty_answer_keeps_its_schema(admin):
    table = admin.query("SELECT * FROM lake.gold.nation WHERE false")
    assert table.num_rows == 0
    assert table.schema.names == ["n_nationkey", "n_name", "n_regionkey", "n_comment"]


def test_columns_of_one_name_are_kept_apart(admin):
    table = admin.query("SELECT a.r_name, b.r_name FROM lake.gold.region a JOIN lake.gold.region b "
                        "ON a.r_regionkey = b.r_regionkey + 1 ORDER BY a.r_regionkey")
    assert table.num_columns == 2
    assert table.column(0)[0].as_py() == "AMERICA" and table.column(1)[0].as_py() == "AFRICA"


def test_a_wide_row_arrives(admin):
    columns = ", ".join(f"{index} AS c{index}" for index in range(1_000))
    table = admin.query(f"SELECT {columns}")
    assert table.num_columns == 1_000 and table.column("c999")[0].as_py() == 999


def test_a_large_value_arrives(admin):
    table = admin.query("SELECT repeat('lakegate', 500000) AS v")
    assert table.column("v")[0].as_py() == "lakegate" * 500_000
