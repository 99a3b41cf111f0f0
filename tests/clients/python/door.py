"""The ways into the gateway under test: pyarrow.flight, ADBC and REST, for each user of the sample lake."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from urllib.parse import quote

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as flight
import requests
from adbc_driver_flightsql import DatabaseOptions

ARROW = "application/vnd.apache.arrow.stream"
TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
# All of gold, and all of the lake in the order of (schema, table): the sample's tables with those of its pipeline.
GOLD = sorted([*TABLES, "events_by_kind"])
STORED = ["events", *GOLD, "events", "rejects"]
LISTED = ["events", *GOLD, "events", "commits", "lineage", "pipelines", "quality", "rejects"]


@dataclass
class FlightDoor:
    """A logged-in pyarrow client and the options that carry its token."""

    client: flight.FlightClient
    options: flight.FlightCallOptions

    def info(self, command: bytes | str) -> flight.FlightInfo:
        raw = command.encode() if isinstance(command, str) else command
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(raw), self.options)

    def read(self, ticket: flight.Ticket) -> pa.Table:
        return self.client.do_get(ticket, self.options).read_all()

    def query(self, command: bytes | str) -> pa.Table:
        """Every endpoint, one after the other."""
        return pa.concat_tables([self.read(endpoint.ticket) for endpoint in self.info(command).endpoints])

    def act(self, name: str, body: bytes) -> list[bytes]:
        results = self.client.do_action(flight.Action(name, body), self.options)
        return [result.body.to_pybytes() for result in results]


@dataclass
class Door:
    """Addresses and users of one running gateway."""

    flight: str
    rest: str
    admin: str
    users: dict[str, str]

    def flight_as(self, user: str = "admin") -> FlightDoor:
        client = flight.FlightClient(self.flight)
        header = client.authenticate_basic_token(user, self.users[user])
        return FlightDoor(client, flight.FlightCallOptions(headers=[header], timeout=300))

    def adbc_as(self, user: str = "admin", **options: str):
        """A DB-API connection as applications open it; the warning that there are no transactions is expected."""
        arguments = {"username": user, "password": self.users[user]} | options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", adbc_driver_manager.dbapi.Warning)
            return adbc.connect(self.flight, db_kwargs=arguments)

    def rest_as(self, user: str = "admin") -> "RestDoor":
        session = requests.Session()
        session.auth = (user, self.users[user])
        return RestDoor(self.rest, session)

    def token(self, user: str = "admin") -> str:
        """A bearer token, as the handshake gives it."""
        client = flight.FlightClient(self.flight)
        _, value = client.authenticate_basic_token(user, self.users[user])
        return value.decode().removeprefix("Bearer ")


@dataclass
class RestDoor:
    """A REST caller with its credentials."""

    base: str
    session: requests.Session

    def get(self, path: str, accept: str = "application/json", **options) -> requests.Response:
        return self.session.get(self.base + path, headers={"accept": accept}, timeout=300, **options)

    def post(self, path: str, body, accept: str = "application/json", **options) -> requests.Response:
        return self.session.post(self.base + path, json=body, headers={"accept": accept}, timeout=300, **options)

    def sql(self, sql: str, accept: str = "application/json", **fields) -> requests.Response:
        return self.post("/v1/sql", {"sql": sql} | fields, accept)

    def table(self, sql: str, **fields) -> pa.Table:
        """The answer as Arrow, whole."""
        response = self.sql(sql, ARROW, **fields)
        assert response.status_code == 200, response.text
        return arrow_table(response)

    def dataset(self, name: str, tail: str = "") -> str:
        return f"/v1/datasets/{quote(name, safe='')}{tail}"


def arrow_table(response: requests.Response) -> pa.Table:
    """The table in an Arrow IPC stream body."""
    return pa.ipc.open_stream(response.content).read_all()


TOKEN_OPTION = DatabaseOptions.AUTHORIZATION_HEADER.value
