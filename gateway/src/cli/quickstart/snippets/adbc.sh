python3 - <<'PYTHON'
import json
import adbc_driver_flightsql.dbapi as flightsql

passwords = {entry["user"]: entry["password"] for entry in json.load(open(@CREDENTIALS@))}
login = {"username": "@USER@", "password": passwords["@USER@"]}
with flightsql.connect("@FLIGHT@", db_kwargs=login, autocommit=True) as connection:
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT n_name AS nation, sum(l_extendedprice * (1 - l_discount)) AS revenue
            FROM lake.gold.lineitem
            JOIN lake.gold.supplier ON s_suppkey = l_suppkey
            JOIN lake.gold.nation ON n_nationkey = s_nationkey
            WHERE l_shipdate >= DATE '1995-01-01' AND l_shipdate < DATE '1996-01-01'
            GROUP BY n_name ORDER BY revenue DESC LIMIT 5
        """)
        print(cursor.fetch_arrow_table().to_pydict())
PYTHON
