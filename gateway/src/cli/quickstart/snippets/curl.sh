curl -sS -u '@USER@:@PASSWORD@' -H 'Accept: text/csv' -H 'Content-Type: application/json' @REST@/v1/sql -d @- <<'JSON'
{"sql": "SELECT l_shipmode, count(*) AS lines, round(avg(l_discount), 4) AS discount FROM lake.gold.lineitem WHERE l_shipdate >= DATE '1995-01-01' AND l_shipdate < DATE '1996-01-01' GROUP BY l_shipmode ORDER BY l_shipmode"}
JSON
