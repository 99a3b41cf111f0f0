"""TLS as applications use it: pyarrow, ADBC, REST and `lakegate sql` trust one authority and nobody else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow.flight as flight
import pytest
import requests
from adbc_driver_flightsql import DatabaseOptions

from door import Door, FlightDoor
from gateway import Gateway, binary

COUNT = "SELECT count(*) AS n FROM lake.gold.nation"


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


def authority(folder: Path) -> Path:
    """A certificate authority of its own; the path of its certificate."""
    folder.mkdir()
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lakegate test authority",
            "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    return folder / "ca.crt"


def server(ca: Path) -> dict[str, str]:
    """The settings of a gateway with a certificate for this machine that `ca` has issued."""
    folder = ca.parent
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", folder / "tls.key",
            "-out", folder / "tls.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", folder / "tls.csr", "-CA", ca, "-CAkey", ca.with_suffix(".key"), "-CAcreateserial",
            "-days", "2", "-extfile", folder / "names", "-out", folder / "tls.crt")
    (folder / "tls.key").chmod(0o600)
    return {"tls.certificate": str(folder / "tls.crt"), "tls.key": str(folder / "tls.key")}


@pytest.fixture(scope="module")
def secure(started, tmp_path_factory):
    """A gateway with TLS over the sample lake, the authority that its clients trust, and another one."""
    home = tmp_path_factory.mktemp("tls")
    ours, other = authority(home / "ours"), authority(home / "other")
    with Gateway.serve(binary(), started[2], server(ours)) as gateway:
        door = Door(gateway.flight, gateway.rest, gateway.admin, gateway.users())
        yield SimpleNamespace(door=door, ca=ours, other=other, directory=started[2])


def pyarrow_door(secure, ca: Path) -> FlightDoor:
    client = flight.FlightClient(secure.door.flight, tls_root_certs=ca.read_bytes())
    header = client.authenticate_basic_token("viewer", secure.door.users["viewer"])
    return FlightDoor(client, flight.FlightCallOptions(headers=[header], timeout=60))


def test_the_addresses_say_that_there_is_tls(secure):
    assert secure.door.flight.startswith("grpc+tls://") and secure.door.rest.startswith("https://")


def test_pyarrow_trusts_the_authority_and_no_other(secure):
    assert pyarrow_door(secure, secure.ca).query(COUNT).to_pylist() == [{"n": 25}]
    with pytest.raises(flight.FlightError):
        pyarrow_door(secure, secure.other)


def test_adbc_trusts_the_authority_and_no_other(secure):
    def rows(ca: Path):
        options = {"username": "viewer", "password": secure.door.users["viewer"],
                   DatabaseOptions.TLS_ROOT_CERTS.value: ca.read_text()}
        with adbc.connect(secure.door.flight, db_kwargs=options, autocommit=True) as connection:
            with connection.cursor() as cursor:
                return cursor.execute(COUNT).fetchall()

    assert rows(secure.ca) == [(25,)]
    with pytest.raises(adbc_driver_manager.Error, match="(?i)certificate"):
        rows(secure.other)


def test_rest_trusts_the_authority_and_no_other(secure):
    def ask(ca: Path):
        return requests.post(f"{secure.door.rest}/v1/sql", json={"sql": COUNT}, verify=str(ca), timeout=60,
                             auth=("viewer", secure.door.users["viewer"]), headers={"accept": "application/x-ndjson"})

    answer = ask(secure.ca)
    assert answer.status_code == 200 and json.loads(answer.text) == {"n": 25}
    with pytest.raises(requests.exceptions.SSLError):
        ask(secure.other)


def test_the_shell_trusts_the_authority_and_no_other(secure):
    def shell(ca: Path) -> subprocess.CompletedProcess:
        command = [binary(), "sql", "--url", secure.door.flight, "--authority", str(ca), "--user", "viewer",
                   "--credentials", str(secure.directory / "credentials.json"), "--format", "json", "-c", COUNT]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    good = shell(secure.ca)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout) == {"n": 25}
    bad = shell(secure.other)
    assert bad.returncode == 1 and "certificate" in bad.stderr, bad.stderr
