python3 - <<'PYTHON'
import json
from pyarrow import flight

passwords = {entry["user"]: entry["password"] for entry in json.load(open(@CREDENTIALS@))}
client = flight.connect("@FLIGHT@")
options = flight.FlightCallOptions(headers=[client.authenticate_basic_token("@USER@", passwords["@USER@"])])
sql = """
    SELECT o_orderpriority, count(*) AS late_orders
    FROM lake.gold.orders
    WHERE o_orderdate >= DATE '1995-01-01' AND o_orderdate < DATE '1996-01-01'
      AND EXISTS (SELECT 1 FROM lake.gold.lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
    GROUP BY o_orderpriority ORDER BY o_orderpriority
"""
info = client.get_flight_info(flight.FlightDescriptor.for_command(sql.encode()), options)
for endpoint in info.endpoints:
    print(client.do_get(endpoint.ticket, options).read_all().to_pydict())
PYTHON
