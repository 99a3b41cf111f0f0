"""Random statements over the sample lake that mean the same to every engine of SQL: joins of all kinds with their NULLs,
subqueries, groups and grouping sets, windows, set operations. `{lake}` stands before each table's name."""

from __future__ import annotations

import random

# Columns by kind: whole number, text, decimal, day. Keys of a table are its first column.
TABLES = {
    "nation": {"n_nationkey": "int", "n_name": "text", "n_regionkey": "int"},
    "region": {"r_regionkey": "int", "r_name": "text"},
    "customer": {"c_custkey": "int", "c_name": "text", "c_nationkey": "int", "c_acctbal": "number", "c_mktsegment": "text"},
    "orders": {"o_orderkey": "int", "o_custkey": "int", "o_orderstatus": "text", "o_totalprice": "number", "o_orderdate": "day"},
    "supplier": {"s_suppkey": "int", "s_nationkey": "int", "s_acctbal": "number"},
}
# The large ones in part, so that no join explodes.
PARTS = {"customer": " WHERE c_custkey <= 1500", "orders": " WHERE o_orderkey <= 6000", "supplier": " WHERE s_suppkey <= 100"}
VALUES = {
    "int": ["0", "1", "2", "3", "5", "7", "10", "24", "100"],
    "text": ["'BUILDING'", "'FRANCE'", "'O'", "''", "'A%'"],
    "number": ["0", "100.5", "-900", "5000.00", "100000"],
    "day": ["DATE '1995-03-15'", "DATE '1998-08-02'", "DATE '1992-01-01'"],
}
COMPARED = ["=", "<>", "<", "<=", ">", ">="]


class Statements:
    """Statements in the order that a seed gives."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = 0

    def of(self, *choices):
        return self.random.choice(choices)

    def one(self, columns, kind=None):
        fitting = [column for column in columns if kind is None or column[1] == kind]
        return self.random.choice(fitting) if fitting else None

    def value(self, kind: str) -> str:
        return self.random.choice(VALUES[kind])

    def table(self, names=tuple(TABLES)):
        """A table under a name of its own, and its columns with their kinds."""
        table = self.random.choice(names)
        self.names += 1
        alias = f"t{self.names}"
        columns = [(f"{alias}.{name}", kind) for name, kind in TABLES[table].items()]
        return f"(SELECT * FROM {{lake}}{table}{PARTS.get(table, '')}) {alias}", columns

    def joined(self):
        """One to three tables, joined by the key of the later one."""
        text, columns = self.table()
        for _ in range(self.random.randrange(3)):
            later, its = self.table()
            on = f"{self.one(columns, 'int')[0]} = {its[0][0]}"
            if self.random.random() < 0.3:
                on += f" AND {self.condition(its + columns, 1, False)}"
            text += f" {self.of('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN')} {later} ON {on}"
            columns = columns + its
        return text, columns

    def condition(self, columns, depth: int, with_subqueries: bool = True) -> str:
        kind = self.random.randrange(15)
        if depth and kind < 4:
            one, two = (self.condition(columns, depth - 1, with_subqueries) for _ in range(2))
            return f"NOT ({one})" if kind == 3 else f"({one} {self.of('AND', 'OR')} {two})"
        name, of = self.one(columns)
        whole = self.one(columns, "int")
        if with_subqueries and kind in (4, 5, 6) and whole:
            table, its = self.table()
            filter_ = self.condition(its, 1, False)
            inner = self.one(its, "int")[0]
            outer = self.one(columns, "int")[0]
            if kind == 4:
                return f"{whole[0]} {self.of('IN', 'NOT IN')} (SELECT {inner} FROM {table} WHERE {filter_})"
            if kind == 5:
                return f"{whole[0]} {self.of('IN', 'NOT IN')} (SELECT {its[0][0]} FROM {table} WHERE {inner} = {outer})"
            return f"{self.of('', 'NOT ')}EXISTS (SELECT 1 FROM {table} WHERE {inner} = {outer} AND {filter_})"
        if kind == 7:
            return f"{name} IS {self.of('', 'NOT ')}NULL"
        if kind == 8 and of != "text":
            return f"{name} {self.of('', 'NOT ')}BETWEEN {self.value(of)} AND {self.value(of)}"
        if kind == 9:
            return f"{name} {self.of('', 'NOT ')}IN ({self.value(of)}, {self.value(of)})"
        if kind == 10:
            other = self.one(columns, of)
            return f"{name} IS {self.of('', 'NOT ')}DISTINCT FROM {other[0]}"
        return f"{name} {self.random.choice(COMPARED)} {self.value(of)}"

    def statement(self) -> str:
        text, columns = self.joined()
        where = f" WHERE {self.condition(columns, 2)}" if self.random.random() < 0.8 else ""
        source = f"FROM {text}{where}"
        form = self.random.randrange(8)
        some = self.one(columns)[0]
        if form == 0:
            listed = self.random.sample(columns, min(3, len(columns)))
            names = ", ".join(f"{name} AS x{place}" for place, (name, _) in enumerate(listed))
            return ordered(f"SELECT {names} {source}", len(listed))
        if form in (1, 2):
            grouped = [name for name, _ in self.random.sample(columns, self.of(1, 2))]
            names = ", ".join(f"{name} AS g{place}" for place, name in enumerate(grouped))
            keys = ", ".join(grouped)
            by = self.of(keys, keys, f"ROLLUP({keys})", f"CUBE({keys})", f"GROUPING SETS (({keys}), ())")
            having = self.of("", "", f" HAVING count(*) > {self.of(0, 1, 3)}")
            number = (self.one(columns, "number") or self.one(columns, "int"))[0]
            return (f"SELECT {names}, count(*) AS c, count({some}) AS d, min({some}) AS lo, max({some}) AS hi, sum({number}) AS s, "
                    f"count(DISTINCT {some}) AS cd {source} GROUP BY {by}{having}")
        if form == 3:
            return f"SELECT count(*) AS c, count(DISTINCT {some}) AS d, min({some}) AS lo, max({some}) AS hi {source}"
        if form == 4:
            whole, order = self.one(columns, "int")[0], self.one(columns, "int")[0]
            window = self.of(
                f"rank() OVER (PARTITION BY {some} ORDER BY {order} NULLS LAST)",
                f"count({whole}) OVER (PARTITION BY {some})",
                f"sum({whole}) OVER (PARTITION BY {some} ORDER BY {order} NULLS FIRST)",
                f"min({whole}) OVER (ORDER BY {order} NULLS LAST RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING)",
                f"max({whole}) OVER (PARTITION BY {some} ORDER BY {order} NULLS LAST RANGE BETWEEN CURRENT ROW AND 3 FOLLOWING)")
            return ordered(f"SELECT {some} AS p, {order} AS o, {window} AS w {source}", 3)
        if form == 5:
            name, kind = self.one(columns)
            other, its = self.joined()
            fitting = self.one(its, kind)
            if fitting:
                together = self.of("UNION", "UNION ALL", "EXCEPT", "INTERSECT")
                return ordered(f"SELECT {name} AS x {source} {together} SELECT {fitting[0]} FROM {other}", 1)
        if form == 6:
            one, two = self.condition(columns, 1, False), self.condition(columns, 1, False)
            return f"SELECT DISTINCT {some} AS x, CASE WHEN {one} THEN 1 WHEN {two} THEN 2 END AS k {source}"
        return (f"WITH w AS (SELECT {some} AS k, count(*) AS c {source} GROUP BY {some}) SELECT count(*) AS n, min(x.k) AS k, sum(y.c) AS c "
                f"FROM w x {self.of('JOIN', 'LEFT JOIN', 'FULL JOIN')} w y ON x.c = y.c AND x.k <> y.k")


def ordered(statement: str, columns: int) -> str:
    """The first rows by all columns, which are the same rows everywhere."""
    places = ", ".join(f"{place} NULLS LAST" for place in range(1, columns + 1))
    return f"SELECT * FROM ({statement}) AS whole ORDER BY {places} LIMIT 200"
