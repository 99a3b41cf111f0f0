"""Flight SQL messages written by hand: the few fields that the tests need, without a protobuf compiler.

Field numbers are those of Arrow's FlightSql.proto and Flight.proto.
"""

from __future__ import annotations

PREFIX = b"type.googleapis.com/arrow.flight.protocol.sql."


def varint(value: int) -> bytes:
    """A protobuf base-128 number."""
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def text(number: int, value: str | bytes) -> bytes:
    """A string, bytes or message field."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def number(field: int, value: int) -> bytes:
    """A bool, enum or integer field."""
    return varint(field << 3) + varint(value)


def command(name: str, body: bytes = b"") -> bytes:
    """A Flight SQL command in its Any envelope, as a descriptor, ticket or action carries it."""
    return text(1, PREFIX + name.encode()) + text(2, body)


def statement(sql: str) -> bytes:
    """CommandStatementQuery."""
    return command("CommandStatementQuery", text(1, sql))


def fields(raw: bytes) -> dict[int, list]:
    """The fields of a message: bytes for length-delimited ones, ints for numbers, in order of appearance."""
    found: dict[int, list] = {}
    position = 0
    while position < len(raw):
        key, position = _number_at(raw, position)
        if key & 7 == 0:
            value, position = _number_at(raw, position)
        elif key & 7 == 2:
            length, position = _number_at(raw, position)
            value, position = raw[position:position + length], position + length
        elif key & 7 == 1:
            value, position = raw[position:position + 8], position + 8
        else:
            raise ValueError(f"wire type {key & 7} is not one these messages use")
        found.setdefault(key >> 3, []).append(value)
    return found


def unwrapped(raw: bytes) -> tuple[str, dict[int, list]]:
    """Name and fields of the message inside an Any."""
    envelope = fields(raw)
    name = envelope[1][0].decode().rsplit(".", 1)[-1]
    return name, fields(envelope.get(2, [b""])[0])


def _number_at(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
