"""The gateways that the tests speak to.

`door` is the gateway that tests/clients/run started; a bare `pytest` starts one of its own. `tpch_door` is a second
one over a scale-1 lake, which is made once and kept in the project's cache until the code that makes it changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from door import Door
from gateway import LAST_LINE, Gateway, binary, cache

ROOT = Path(__file__).resolve().parents[3]
# Whatever decides what quickstart writes.
LAKE_SOURCES = ["Cargo.lock", "ingest/src/**/*.rs", "connectors/src/iceberg/**/*.rs", "gateway/src/cli/quickstart*.rs",
                "gateway/src/cli/quickstart/**/*.rs"]


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """(door, printed lines, lake folder) of the gateway under test."""
    if "LAKEGATE_FLIGHT" in os.environ:
        directory = Path(os.environ["LAKEGATE_DIR"])
        entries = json.loads((directory / "credentials.json").read_text())
        users = {entry["user"]: entry["password"] for entry in entries}
        door = Door(os.environ["LAKEGATE_FLIGHT"], os.environ["LAKEGATE_REST"], os.environ["LAKEGATE_ADMIN"], users)
        yield door, Path(os.environ["LAKEGATE_STDOUT"]).read_text().splitlines(), directory
        return
    with Gateway.start(binary(), tmp_path_factory.mktemp("lake"), "0.1", 600) as gateway:
        lines = gateway.await_printed(LAST_LINE)
        yield Door(gateway.flight, gateway.rest, gateway.admin, gateway.users()), lines, gateway.directory


@pytest.fixture(scope="session")
def door(started) -> Door:
    return started[0]


@pytest.fixture(scope="session")
def printed(started) -> list[str]:
    return started[1]


@pytest.fixture(scope="session")
def lake_directory(started) -> Path:
    return started[2]


@pytest.fixture
def admin(door):
    """A pyarrow.flight client of the admin."""
    return door.flight_as("admin")


@pytest.fixture
def adbc(door):
    """A DB-API connection of the admin."""
    with door.adbc_as("admin") as connection:
        yield connection


@pytest.fixture
def rest(door):
    """A REST caller of the admin."""
    return door.rest_as("admin")


@pytest.fixture(scope="session")
def tpch_door():
    """A gateway over the scale-1 lake."""
    lake = scale_one_lake()
    whole = lake.with_suffix(".whole")
    if not whole.exists():
        shutil.rmtree(lake, ignore_errors=True)
    with Gateway.start(binary(), lake, "1", 1800) as gateway:
        whole.touch()
        yield Door(gateway.flight, gateway.rest, gateway.admin, gateway.users())


def scale_one_lake() -> Path:
    """The folder of the scale-1 lake that today's sources make; older ones are removed."""
    digest = hashlib.sha256()
    for pattern in LAKE_SOURCES:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    home = cache() / "clients"
    lake = home / f"tpch-1-{digest.hexdigest()[:16]}"
    for other in home.glob("tpch-1-*"):
        if not other.name.startswith(lake.name):
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    return lake
