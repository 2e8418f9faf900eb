"""D-Bus messages, and calls to a bus that is a thread of the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups import dbus_wire as wire
from wherry.linux.cgroups.dbus import Bus, BusError, unix_path
from wherry.linux.cgroups.files import CgroupError

text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=9)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "y": st.integers(0, 255),
    "b": st.booleans(),
    "n": st.integers(-(1 << 15), (1 << 15) - 1),
    "q": st.integers(0, (1 << 16) - 1),
    "i": st.integers(-(1 << 31), (1 << 31) - 1),
    "u": st.integers(0, (1 << 32) - 1),
    "x": st.integers(-(1 << 63), (1 << 63) - 1),
    "t": st.integers(0, (1 << 64) - 1),
    "d": st.floats(allow_nan=False),
    "s": text,
    "o": st.just("/a/b"),
    "g": st.just("a{sv}"),
}


def deeper(types: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    structures = st.lists(types, min_size=1, max_size=3).map(lambda parts: f"({''.join(parts)})")
    return types.map(lambda one: f"a{one}") | structures | types.map(lambda one: f"a{{s{one}}}")


signatures = st.recursive(st.sampled_from([*PLAIN, "v"]), deeper, max_leaves=4)


def values(signature: str) -> st.SearchStrategy[Any]:
    """Values of one complete type."""
    if signature in PLAIN:
        return PLAIN[signature]
    if signature == "v":
        return st.sampled_from(["s", "t", "ay"]).flatmap(lambda inner: st.tuples(st.just(inner), values(inner)))
    if signature == "ay":
        return st.binary(max_size=9)
    if signature[:2] == "a{":
        return st.dictionaries(text, values(signature[3:-1]), max_size=3)
    if signature[0] == "a":
        return st.lists(values(signature[1:]), max_size=3)
    return st.tuples(*(values(part) for part in wire.split(signature[1:-1])))


@given(signatures.flatmap(lambda signature: st.tuples(st.just(signature), values(signature))))
def test_what_is_written_is_read_again(pair: tuple[str, Any]) -> None:
    """For any type, at any alignment."""
    signature, value = pair
    data = wire.encode(wire.SIGNAL, 7, {wire.PATH: "/p", wire.MEMBER: "M"}, f"y{signature}s", (1, value, "end"))
    assert wire.length(data[: wire.HEADER]) == len(data)
    message = wire.decode(data)
    assert message.kind == wire.SIGNAL
    assert (message.fields[wire.PATH], message.fields[wire.MEMBER]) == ("/p", "M")
    assert message.body == [1, value, "end"]


@given(st.binary(max_size=200))
def test_rubbish_is_refused(data: bytes) -> None:
    """Never more than a ValueError."""
    for head in (b"", b"l\2\0\1"):
        try:
            wire.length((head + data).ljust(16, b"\0")[:16])
            wire.decode(head + data)
        except ValueError:
            continue


def test_a_known_message() -> None:
    """The specification's rules, byte by byte: Hello to the bus."""
    fields = {wire.PATH: "/o", wire.MEMBER: "Hi"}
    assert wire.encode(wire.CALL, 1, fields, "u", (5,)) == (
        b"l\1\0\1" + b"\4\0\0\0" + b"\1\0\0\0" + b"\x27\0\0\0"  # body 4, serial 1, fields 39
        + b"\1\1o\0" + b"\2\0\0\0/o\0" + b"\0" * 5
        + b"\3\1s\0" + b"\2\0\0\0Hi\0" + b"\0" * 5
        + b"\x08\1g\0" + b"\1u\0"
        + b"\0" * 1  # the body starts at a multiple of 8
        + b"\5\0\0\0"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("unix:path=/run/user/0/bus", "/run/user/0/bus"),
        ("unix:path=/run/a%20b,guid=12", "/run/a b"),
        ("tcp:host=x;unix:abstract=/tmp/y", "\0/tmp/y"),
    ],
)
def test_bus_addresses(address: str, path: str) -> None:
    """As in $DBUS_SESSION_BUS_ADDRESS."""
    assert unix_path(address) == path


@pytest.mark.parametrize("address", ["", "tcp:host=x", "unix:path=%zz", "unixexec:path=/bin/sh"])
def test_other_addresses_are_refused(address: str) -> None:
    """Nothing is run, nothing is connected to by network."""
    with pytest.raises(CgroupError, match="dbus address"):
        unix_path(address)


Answer = Callable[[wire.Message], list[bytes]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Answer], str]]:
    """``serve(answer)``: a bus for one connection; its address."""
    threads = []
    listener = socket.socket(socket.AF_UNIX)

    def start(answer: Answer) -> str:
        listener.bind(str(tmp_path / "bus"))
        listener.listen(1)
        thread = threading.Thread(target=_answer_all, args=(listener, answer))
        thread.start()
        threads.append(thread)
        return str(tmp_path / "bus")

    yield start
    listener.close()
    for thread in threads:
        thread.join(10)


def _answer_all(listener: socket.socket, answer: Answer) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as file:
        assert [file.readline() for _ in range(3)] == [b"\0AUTH EXTERNAL\r\n", b"DATA\r\n", b"BEGIN\r\n"]
        connection.sendall(b"DATA\r\nOK 1234deadbeef\r\n")
        while header := file.read(wire.HEADER):
            call = wire.decode(header + file.read(wire.length(header) - wire.HEADER))
            serial = int.from_bytes(header[8:12], "little")
            if call.fields[wire.MEMBER] == "Hello":
                connection.sendall(reply(serial, "s", ":1.5"))
            for data in answer(call):
                connection.sendall(data)


def reply(serial: int, signature: str = "", *body: Any) -> bytes:
    """A method's return."""
    return wire.encode(wire.RETURN, 9, {wire.REPLY_SERIAL: serial}, signature, body)


def test_a_call_and_its_signal(serve: Callable[[Answer], str]) -> None:
    """A signal that comes before the reply is not lost."""

    def answer(call: wire.Message) -> list[bytes]:
        if call.fields[wire.MEMBER] != "Start":
            return []
        other = wire.encode(wire.SIGNAL, 1, {wire.PATH: "/", wire.MEMBER: "Done"}, "s", ("other",))
        done = wire.encode(wire.SIGNAL, 2, {wire.PATH: "/", wire.MEMBER: "Done"}, "s", (call.body[0],))
        return [other, done, reply(2, "o", "/job/1")]

    with Bus(serve(answer)) as bus:
        assert bus.call("org.x", "/", "org.x.I", "Start", "s", "unit") == ["/job/1"]
        assert bus.wait_for("Done", lambda body: body == ["unit"]) == ["unit"]


def test_an_error_has_its_name(serve: Callable[[Answer], str]) -> None:
    """The callers tell errors apart by it."""

    def answer(call: wire.Message) -> list[bytes]:
        if call.fields[wire.MEMBER] == "Hello":
            return []
        fields = {wire.REPLY_SERIAL: 2, wire.ERROR_NAME: "org.x.UnitExists"}
        return [wire.encode(wire.ERROR, 1, fields, "s", ("Unit x exists",))]

    with Bus(serve(answer)) as bus, pytest.raises(BusError, match="Unit x exists") as refused:
        bus.call("org.x", "/", "org.x.I", "Start")
    assert refused.value.name == "org.x.UnitExists"


def test_no_bus_is_said(tmp_path: Path) -> None:
    """With its address."""
    with pytest.raises(CgroupError, match=rf"failed to connect to dbus at {tmp_path}/bus: no such file"):
        Bus(str(tmp_path / "bus"))
