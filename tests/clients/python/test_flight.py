"""pyarrow.flight: log in, ask with raw SQL, fetch in parallel, and be refused without a way in."""

from __future__ import annotations

import concurrent.futures
import os

import pyarrow as pa
import pyarrow.flight as flight
import pytest

import wire
from door import TABLES

SAMPLE = [
    "SELECT 1 AS one, 'x' AS word, NULL AS nothing",
    "SELECT * FROM lake.gold.nation",
    "SELECT * FROM lake.gold.lineitem WHERE l_orderkey < 10",
    "SELECT n_name, count(*) AS n, avg(c_acctbal) AS mean FROM lake.gold.customer "
    "JOIN lake.gold.nation ON c_nationkey = n_nationkey GROUP BY n_name",
    "SELECT upper(r_name) AS loud, arrow_cast(r_name, 'Utf8View') AS seen FROM lake.gold.region",
    "SHOW TABLES",
    "DESCRIBE lake.gold.orders",
    "EXPLAIN SELECT * FROM lake.gold.orders",
]


def same_words(error: Exception) -> tuple[type, str]:
    """The kind and the server's own sentence of an error, without what pyarrow adds."""
    text = str(error).split(". gRPC client debug context")[0].split(". Client context")[0]
    return type(error), text


def types_inside(kind: pa.DataType):
    """The type and every type nested in it."""
    yield kind
    for index in range(kind.num_fields):
        yield from types_inside(kind.field(index).type)


def test_basic_login_gives_a_bearer_token_that_opens_the_door(door):
    client = flight.FlightClient(door.flight)
    name, value = client.authenticate_basic_token("admin", door.users["admin"])
    assert name.lower() == b"authorization" and value.startswith(b"Bearer ")
    again = flight.FlightClient(door.flight)
    options = flight.FlightCallOptions(headers=[(b"authorization", value)])
    info = again.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 41 + 1"), options)
    assert again.do_get(info.endpoints[0].ticket, options).read_all().to_pylist()[0].popitem()[1] == 42


@pytest.mark.parametrize("sql", SAMPLE)
def test_raw_sql_is_a_command(admin, sql):
    assert admin.query(sql).num_rows > 0


@pytest.mark.parametrize("sql", SAMPLE)
def test_raw_sql_is_a_ticket(admin, sql):
    table = admin.read(flight.Ticket(sql.encode()))
    assert table.num_rows > 0
    if not sql.startswith("EXPLAIN"):
        order = [(name, "ascending") for name in table.column_names[:1]]
        assert table.sort_by(order).num_rows == admin.query(sql).num_rows


@pytest.mark.parametrize("sql", SAMPLE)
def test_the_announced_schema_is_the_streams_schema(admin, sql):
    info = admin.info(sql)
    for endpoint in info.endpoints:
        streamed = admin.client.do_get(endpoint.ticket, admin.options).schema
        assert streamed.equals(info.schema, check_metadata=True)


@pytest.mark.parametrize("sql", SAMPLE)
def test_no_view_type_leaves_the_gateway(admin, sql):
    for field in admin.query(sql).schema:
        for kind in types_inside(field.type):
            assert kind not in (pa.string_view(), pa.binary_view()), field


def test_get_schema_answers_for_raw_sql_and_for_a_command(admin):
    sql = "SELECT n_nationkey, n_name FROM lake.gold.nation"
    for command in (sql.encode(), wire.statement(sql)):
        descriptor = flight.FlightDescriptor.for_command(command)
        schema = admin.client.get_schema(descriptor, admin.options).schema
        assert schema.names == ["n_nationkey", "n_name"]
        assert schema.equals(admin.info(command).schema)


def test_a_flight_sql_command_and_raw_sql_are_the_same_question(admin):
    sql = "SELECT * FROM lake.gold.region ORDER BY r_regionkey"
    assert admin.query(wire.statement(sql)).equals(admin.query(sql))


def test_list_actions_names_what_clients_call(admin):
    names = {action.type for action in admin.client.list_actions(admin.options)}
    assert {"CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo", "SetSessionOptions",
            "GetSessionOptions", "CloseSession"} <= names


def test_endpoints_fetched_in_parallel_give_each_row_once(admin):
    info = admin.info("SELECT l_orderkey, l_linenumber FROM lake.gold.lineitem")
    assert len(info.endpoints) > 1, "600,000 rows are worth more than one endpoint"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda endpoint: admin.read(endpoint.ticket), info.endpoints))
    assert all(part.num_rows > 0 for part in parts)
    whole = pa.concat_tables(parts)
    distinct = whole.group_by(["l_orderkey", "l_linenumber"]).aggregate([])
    expected = admin.query("SELECT count(*) AS n FROM lake.gold.lineitem").column("n")[0].as_py()
    assert whole.num_rows == distinct.num_rows == expected
    if info.total_records >= 0:
        assert info.total_records == expected


def test_an_endpoint_can_be_fetched_again_and_alone(admin):
    info = admin.info("SELECT o_orderkey FROM lake.gold.orders ORDER BY o_orderkey")
    last = info.endpoints[-1]
    assert admin.read(last.ticket).equals(admin.read(last.ticket))


def test_endpoints_lead_back_to_the_same_connection(admin):
    for endpoint in admin.info("SELECT * FROM lake.gold.lineitem").endpoints:
        assert all(b"reuse-connection" in location.uri for location in endpoint.locations)


def test_a_wrong_password_is_refused_as_an_unknown_user_is(door):
    said = []
    for user, password in (("admin", "guess"), ("nobody", "guess"), ("admin", ""), ("", "")):
        with pytest.raises(flight.FlightUnauthenticatedError) as caught:
            flight.FlightClient(door.flight).authenticate_basic_token(user, password)
        said.append(same_words(caught.value))
    assert len(set(said)) == 1, said
    assert "guess" not in said[0][1]


@pytest.mark.parametrize("header", [None, b"Bearer nonsense", b"Bearer ", b"Basic !!!", b"Negotiate x"])
def test_a_missing_or_made_up_token_is_refused(door, header):
    client = flight.FlightClient(door.flight)
    headers = [] if header is None else [(b"authorization", header)]
    options = flight.FlightCallOptions(headers=headers)
    descriptor = flight.FlightDescriptor.for_command(b"SELECT 1")
    calls = [lambda: client.get_flight_info(descriptor, options), lambda: client.get_schema(descriptor, options),
             lambda: client.do_get(flight.Ticket(b"SELECT 1"), options).read_all(),
             lambda: list(client.do_action(flight.Action("CreatePreparedStatement", b""), options)),
             lambda: list(client.list_flights(b"", options))]
    for call in calls:
        # GetSchema of pyarrow turns every status into an OSError and keeps the words.
        with pytest.raises((flight.FlightUnauthenticatedError, OSError), match="LG2001"):
            call()


def test_every_changed_byte_of_a_token_is_refused_alike(door):
    token = door.token("viewer").encode()
    client = flight.FlightClient(door.flight)
    descriptor = flight.FlightDescriptor.for_command(b"SELECT 1")
    said = set()
    for position in range(0, len(token), max(1, len(token) // 40)):
        changed = bytearray(token)
        changed[position] = ord("A") if changed[position] != ord("A") else ord("B")
        options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + bytes(changed))])
        with pytest.raises(flight.FlightUnauthenticatedError) as caught:
            client.get_flight_info(descriptor, options)
        said.add(same_words(caught.value))
    assert len(said) == 1, said


def sealed_part(ticket: bytes) -> tuple[int, int]:
    """Where the sealed bytes lie in a ticket that may be an Any around a message around them."""
    try:
        _, inner = wire.unwrapped(ticket)
        sealed = max((value for values in inner.values() for value in values if isinstance(value, bytes)), key=len)
    except (IndexError, KeyError, ValueError, UnicodeDecodeError):
        return 0, len(ticket)
    start = ticket.rindex(sealed)
    return start, start + len(sealed)


def test_every_changed_byte_of_a_ticket_gets_the_same_error(admin):
    ticket = admin.info("SELECT n_name FROM lake.gold.nation").endpoints[0].ticket.ticket
    start, end = sealed_part(ticket)
    assert end - start > 40, "a sealed ticket is longer than its seal"
    said = set()
    for position in range(start, end):
        changed = bytearray(ticket)
        changed[position] ^= 0x20
        with pytest.raises(pa.ArrowException) as caught:
            admin.read(flight.Ticket(bytes(changed)))
        said.add(same_words(caught.value))
    assert len(said) == 1, said
    for cut in (ticket[:-1], ticket[:start + 8], ticket + b"\0"):
        with pytest.raises(pa.ArrowException):
            admin.read(flight.Ticket(cut))
    assert admin.read(flight.Ticket(ticket)).num_rows == 25


def test_random_bytes_are_refused_and_the_next_call_works(admin):
    for size in (1, 7, 64, 4096):
        noise = os.urandom(size)
        with pytest.raises(pa.ArrowException):
            admin.read(flight.Ticket(noise))
        with pytest.raises(pa.ArrowException):
            admin.info(noise)
    assert admin.query("SELECT 1").num_rows == 1


def prepared(admin, sql: str) -> tuple[bytes, dict]:
    """The handle of a prepared statement and the fields of the answer."""
    body = wire.command("ActionCreatePreparedStatementRequest", wire.text(1, sql))
    (answer,) = admin.act("CreatePreparedStatement", body)
    name, fields = wire.unwrapped(answer)
    assert name == "ActionCreatePreparedStatementResult"
    return fields[1][0], fields


def test_a_prepared_statement_announces_columns_and_parameters(admin):
    sql = "SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ? AND n_name <> ?"
    _, fields = prepared(admin, sql)
    dataset, parameters = (pa.ipc.read_schema(pa.py_buffer(fields[number][0])) for number in (2, 3))
    assert dataset.names == ["n_name"]
    assert parameters.types == [pa.int64(), pa.string()]


def bound(admin, handle: bytes, schema: pa.Schema, batches: list[pa.RecordBatch]) -> bytes:
    """The handle that DoPut gives for values."""
    command = wire.command("CommandPreparedStatementQuery", wire.text(1, handle))
    writer, answers = admin.client.do_put(flight.FlightDescriptor.for_command(command), schema, admin.options)
    for batch in batches:
        writer.write_batch(batch)
    writer.done_writing()
    answer = answers.read().to_pybytes()
    writer.close()
    return wire.fields(answer)[1][0]


def test_a_bound_handle_is_a_new_one_and_runs_once_for_each_row(admin):
    """The old handle stays as it was; no row of values is no run, also after a binding that had some."""
    def rows(handle):
        return admin.query(wire.command("CommandPreparedStatementQuery", wire.text(1, handle))).num_rows

    handle, _ = prepared(admin, "SELECT n_name FROM lake.gold.nation WHERE n_nationkey = ?")
    batch = pa.record_batch({"1": pa.array([3, 6, 6, 99])})
    three = bound(admin, handle, batch.schema, [batch])
    again = bound(admin, three, batch.schema, [batch.slice(0, 1), batch.slice(1, 1)])
    assert (rows(three), rows(again)) == (3, 2)
    for batches in ([], [batch.slice(0, 0)]):
        assert rows(bound(admin, three, batch.schema, batches)) == 0
    assert rows(three) == 3


def test_every_changed_byte_of_a_handle_gets_the_same_error(admin):
    handle, _ = prepared(admin, "SELECT n_name FROM lake.gold.nation")
    command = "CommandPreparedStatementQuery"
    assert admin.query(wire.command(command, wire.text(1, handle))).num_rows == 25
    said = set()
    for position in range(len(handle)):
        changed = bytearray(handle)
        changed[position] ^= 0x20
        with pytest.raises(pa.ArrowException) as caught:
            admin.info(wire.command(command, wire.text(1, bytes(changed))))
        said.add(same_words(caught.value))
    assert len(said) == 1, said


def test_a_handle_of_somebody_else_is_refused(door, admin):
    handle, _ = prepared(admin, "SELECT n_name FROM lake.gold.nation")
    viewer = door.flight_as("viewer")
    with pytest.raises(pa.ArrowException):
        viewer.info(wire.command("CommandPreparedStatementQuery", wire.text(1, handle)))


def test_closing_a_handle_twice_is_no_error(admin):
    handle, _ = prepared(admin, "SELECT 1")
    body = wire.command("ActionClosePreparedStatementRequest", wire.text(1, handle))
    admin.act("ClosePreparedStatement", body)
    admin.act("ClosePreparedStatement", body)


def test_a_query_can_be_cancelled_by_its_info(admin):
    info = admin.info("SELECT * FROM lake.gold.lineitem")
    (answer,) = admin.act("CancelFlightInfo", wire.text(1, info.serialize()))
    assert wire.fields(answer)[1][0] in (1, 2, 3), "cancelled, cancelling or not cancellable"


def test_an_unknown_action_is_named(admin):
    with pytest.raises(pa.ArrowException, match="NoSuchAction"):
        admin.act("NoSuchAction", b"")


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_read_whole(admin, table):
    count = admin.query(f"SELECT count(*) AS n FROM lake.gold.{table}").column("n")[0].as_py()
    assert count > 0
    assert admin.query(f"SELECT * FROM lake.gold.{table}").num_rows == count


def test_a_reader_that_stops_early_leaves_a_working_connection(admin):
    for _ in range(5):
        reader = admin.client.do_get(admin.info("SELECT * FROM lake.gold.lineitem").endpoints[0].ticket, admin.options)
        assert reader.read_chunk().data.num_rows > 0
        reader.cancel()
    assert admin.query("SELECT 1").num_rows == 1
