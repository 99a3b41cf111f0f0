"""The 22 TPC-H queries: their text, how their answers are ordered, and how two answers are compared."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

FOLDER = Path(__file__).resolve().parents[2] / "sql" / "tpch"
NUMBERS = range(1, 23)

# The columns of ORDER BY. Rows that are equal in them may stand in any order.
ORDER = {
    1: ["l_returnflag", "l_linestatus"], 2: ["s_acctbal", "n_name", "s_name", "p_partkey"], 3: ["revenue", "o_orderdate"],
    4: ["o_orderpriority"], 5: ["revenue"], 6: [], 7: ["supp_nation", "cust_nation", "l_year"], 8: ["o_year"],
    9: ["nation", "o_year"], 10: ["revenue"], 11: ["value"], 12: ["l_shipmode"], 13: ["custdist", "c_count"], 14: [],
    15: ["s_suppkey"], 16: ["supplier_cnt", "p_brand", "p_type", "p_size"], 17: [], 18: ["o_totalprice", "o_orderdate"],
    19: [], 20: ["s_name"], 21: ["numwait", "s_name"], 22: ["cntrycode"],
}

# How far a figure may be from the published one, which is rounded or cut at two places. Q17 divides by 7.0; its
# published quotient is 0.03 below the exact one, well inside the 1 % that the specification allows.
SLACK = dict.fromkeys(NUMBERS, 0.01) | {17: 0.05}


def query(number: int) -> str:
    return (FOLDER / f"q{number:02}.sql").read_text()


def published(number: int) -> tuple[int, list[str] | None, list[list[str]]]:
    """How many rows the published answer has, the columns that are kept (None: all), and the rows that are kept."""
    lines = (FOLDER / "answers" / f"q{number:02}.tbl").read_text().splitlines()
    count, _, columns = lines[0].removeprefix("# ").partition(" rows")
    kept = columns.removeprefix(" of ").split() or None
    return int(count), kept, [line.split("|") for line in lines[1:]]


def rows(table: pa.Table) -> list[tuple]:
    return list(zip(*(column.to_pylist() for column in table.columns)))


def same_cell(left, right, left_scale: int | None, right_scale: int | None) -> bool:
    """Exact for whole numbers, text, dates and decimals; 1e-9 for floats.

    Engines type averages and quotients differently. A decimal against a float may differ by one unit of the decimal's
    last place, for the engine has cut it there.
    """
    if isinstance(left, float) or isinstance(right, float):
        scale = left_scale if left_scale is not None else right_scale
        unit = 10.0 ** -scale if scale is not None else 0.0
        return abs(float(left) - float(right)) <= max(unit, 1e-9 * abs(float(right)))
    if isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal)):
        return Decimal(left) == Decimal(right)
    return left == right


def differences(found: pa.Table, expected: pa.Table, order: list[str]) -> list[str]:
    """What is different between two answers, as sentences; none when they are equal."""
    if found.num_columns != expected.num_columns or found.num_rows != expected.num_rows:
        return [f"{found.num_rows} x {found.num_columns} instead of {expected.num_rows} x {expected.num_columns}"]
    scales = [(scale(left), scale(right)) for left, right in zip(found.schema.types, expected.schema.types)]
    keys = [expected.column_names.index(name) for name in order]
    left, right = rows(found), rows(expected)
    wrong = [f"row {index} is in another place: {one} and {other}"
             for index, (one, other) in enumerate(zip(left, right))
             if not all(same_cell(one[key], other[key], *scales[key]) for key in keys)]
    whole = range(len(scales))
    for one, other in zip(sorted(left, key=sort_key), sorted(right, key=sort_key)):
        if not all(same_cell(one[index], other[index], *scales[index]) for index in whole):
            wrong.append(f"{one} instead of {other}")
    return wrong


def scale(kind: pa.DataType) -> int | None:
    return kind.scale if pa.types.is_decimal(kind) else None


def sort_key(row: tuple) -> list:
    """Sorts rows by what engines agree on first, and by rounded figures then."""
    exact = [str(cell) for cell in row if not isinstance(cell, (float, Decimal))]
    return [exact, [round(float(cell), 2) for cell in row if isinstance(cell, (float, Decimal))]]


def like_published(cell, text: str, slack: float) -> bool:
    """Whether a cell is that of the published answer, up to `slack` for figures."""
    if isinstance(cell, (float, Decimal)):
        return abs(float(cell) - float(text)) <= slack + 1e-9 * abs(float(cell))
    if isinstance(cell, int):
        return Decimal(cell) == Decimal(text)
    if isinstance(cell, datetime.date):
        return cell.isoformat() == text
    return str(cell).strip() == text.strip()
