"""Random statements, asked of the gateway and of DuckDB over the same files: no difference. They are the same ones in each
run; `LAKEGATE_SEED` draws others, or repeats a run (`now` draws and prints a new one), and `LAKEGATE_STATEMENTS` asks for more."""

from __future__ import annotations

import os
import time
from decimal import Decimal

import duckdb

from statements import TABLES, Statements


def plain(value):
    """A value as both engines mean it, whatever type they give it in."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, Decimal)):
        number = Decimal(value).normalize()
        return str(number + 0 if number else Decimal(0))
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value)


def rows(table) -> list[tuple]:
    return sorted((tuple(plain(value) for value in row.values()) for row in table.to_pylist()), key=repr)


def test_random_statements_give_what_duckdb_gives(adbc, lake_directory):
    asked = os.environ.get("LAKEGATE_SEED", "1")
    seed = time.time_ns() % 2**31 if asked == "now" else int(asked)
    count = int(os.environ.get("LAKEGATE_STATEMENTS", "300"))
    print(f"seed {seed}, {count} statements")
    duck = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
    for name in TABLES:
        files = lake_directory / "warehouse" / "gold" / name / "**" / "*.parquet"
        duck.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{files}', hive_partitioning = false)")
    statements = Statements(seed)
    answered = 0
    with adbc.cursor() as cursor:
        for number in range(count):
            statement = statements.statement()
            cursor.execute(statement.replace("{lake}", "lake.gold."))
            ours = rows(cursor.fetch_arrow_table())
            theirs = rows(duck.execute(statement.replace("{lake}", "")).to_arrow_table())
            assert ours == theirs, f"seed {seed}, statement {number}: {statement}"
            answered += bool(ours)
    assert answered > count / 2, f"{answered} of {count} statements gave rows, seed {seed}"
