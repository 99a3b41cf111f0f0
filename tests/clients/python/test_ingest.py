"""What ingest wrote, read by PyIceberg and DuckDB as the gateway reads it: bronze, silver, gold and the rejects."""

from __future__ import annotations

import json
import time
from pathlib import Path

import duckdb
import pytest
import requests
from pyiceberg.catalog.sql import SqlCatalog

KINDS = ["view", "click", "buy", "wave"]
RECORDS = [{"event_id": f"c-{n:03}", "ts": f"2026-02-{1 + n % 20:02}T08:00:00Z", "user_id": n % 7, "kind": KINDS[n % 4 if n > 9 else 0],
            "amount": n / 4 if n % 4 == 2 else None} for n in range(60)]
TABLES = {"bronze.events": "_ingest_id", "silver.events": "event_id", "gold.events_by_kind": "day, kind",
          "system.rejects": "ingest_id"}


@pytest.fixture(scope="module")
def posted(door, lake_directory):
    """The records are in silver and gold; gives the folder of the lake."""
    ingest = json.loads((lake_directory / "endpoints.json").read_text())["ingest"]
    body = "\n".join(json.dumps(record) for record in RECORDS)
    for replayed in (False, True):
        answer = requests.post(f"{ingest}/v1/ingest/events", data=body, auth=("admin", door.users["admin"]), timeout=60,
                               headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": "from-clients"})
        assert answer.status_code == 200 and answer.json()["replayed"] is replayed, answer.text
    client, deadline = door.flight_as("admin"), time.monotonic() + 90
    last = "SELECT count(*) AS n FROM gold.events_by_kind WHERE day >= DATE '2026-02-01'"
    while client.query(last).to_pydict()["n"] == [0]:
        assert time.monotonic() < deadline, "gold does not take the records"
        time.sleep(0.2)
    return lake_directory


@pytest.mark.parametrize("name", TABLES)
def test_other_engines_read_the_rows_that_the_gateway_gives(posted, admin, name):
    ours = admin.query(f"SELECT * FROM {name}")
    warehouse = (Path(posted) / "warehouse").resolve()
    catalog = SqlCatalog("lakegate", uri=f"sqlite:///{Path(posted) / 'catalog.sqlite'}", warehouse=f"file://{warehouse}")
    scan = catalog.load_table(name).scan()
    theirs = scan.to_arrow().cast(ours.schema.remove_metadata())
    order = [(column.strip(), "ascending") for column in TABLES[name].split(",")]
    assert ours.num_rows > 0
    assert theirs.sort_by(order).to_pylist() == ours.sort_by(order).to_pylist()
    files = [task.file.file_path.removeprefix("file://") for task in scan.plan_files()]
    columns = ", ".join(f'"{column}"' for column in ours.column_names)
    read = f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false)"
    with duckdb.connect() as connection:
        duck = connection.execute(read, [files]).to_arrow_table()
    duck = duck.cast(ours.schema.remove_metadata())
    assert duck.sort_by(order).to_pylist() == ours.sort_by(order).to_pylist()


def test_every_record_is_published_once_or_set_aside(posted, admin):
    bad = {record["event_id"] for record in RECORDS if record["kind"] == "wave"}
    found = admin.query("SELECT event_id FROM silver.events WHERE event_id LIKE 'c-%'").to_pydict()["event_id"]
    assert sorted(found) == sorted(record["event_id"] for record in RECORDS if record["event_id"] not in bad)
    aside = admin.query("SELECT rule, payload FROM system.rejects WHERE payload LIKE '%\"c-%'").to_pylist()
    assert {json.loads(row["payload"])["event_id"] for row in aside} == bad and len(aside) == len(bad)
    assert {row["rule"] for row in aside} == {"kind_known"}
