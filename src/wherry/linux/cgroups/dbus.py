"""A connection to a message bus, and calls over it. Imports os and ``_socket``.

By hand, with ``dbus_wire``: a shim makes the calls, which may import none of re, socket and typing; jeepney, the
smallest library for it, brings 54 modules with it and these three among them.

D-Bus Specification 0.43, "Authentication Protocol" and "Message Bus".
"""

from __future__ import annotations

import _socket
import os
import time

from wherry.linux.cgroups import dbus_wire as wire
from wherry.linux.cgroups.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

_BUS = "org.freedesktop.DBus"
_TIMEOUT = 30.0


class BusError(CgroupError):
    """An error reply; ``name`` is its kind, such as ``org.freedesktop.systemd1.UnitExists``."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message or name)
        self.name = name


class Bus:
    """A connection, closed at the end of the ``with`` block."""

    def __init__(self, address: str, *, direct: bool = False) -> None:
        """``direct``: the other end is systemd itself, not a bus. Raises CgroupError."""
        self._serial = 0
        self._signals: list[wire.Message] = []
        self._deadline = time.monotonic() + _TIMEOUT
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._direct = direct
        try:
            self._socket.settimeout(_TIMEOUT)
            self._socket.connect(address)
            self._authenticate()
            if not direct:
                self.call(_BUS, "/org/freedesktop/DBus", _BUS, "Hello")
        except OSError as error:
            self._socket.close()
            raise CgroupError(
                f"failed to connect to dbus at {address.replace(chr(0), '@')}: {_reason(error)}"
            ) from error
        except CgroupError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", *values: Any
    ) -> list[Any]:
        """The values of the reply. Raises BusError, CgroupError."""
        self._serial += 1
        serial = self._serial
        fields = {wire.PATH: path, wire.INTERFACE: interface, wire.MEMBER: member}
        if not self._direct:
            fields[wire.DESTINATION] = destination
        self._deadline = time.monotonic() + _TIMEOUT
        try:
            self._socket.sendall(wire.encode(wire.CALL, serial, fields, signature, values))
            while True:
                message = self._receive()
                if message.kind == wire.SIGNAL:
                    self._signals.append(message)
                elif message.fields.get(wire.REPLY_SERIAL) == serial:
                    break
        except (OSError, ValueError) as error:
            raise CgroupError(f"dbus call {interface}.{member} failed: {_reason(error)}") from error
        if message.kind == wire.ERROR:
            text = message.body[0] if message.body and isinstance(message.body[0], str) else ""
            raise BusError(message.fields.get(wire.ERROR_NAME, ""), text)
        return message.body

    def subscribe(self, interface: str, member: str) -> None:
        """Have the bus send a signal to us, too."""
        if not self._direct:
            rule = f"type='signal',interface='{interface}',member='{member}'"
            self.call(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", rule)

    def wait_for(self, member: str, accepts: Callable[[list[Any]], bool]) -> list[Any]:
        """The values of the first signal of that name that is the right one. Raises CgroupError after 30 s."""
        self._deadline = time.monotonic() + _TIMEOUT
        try:
            while True:
                for message in self._signals:
                    if message.fields.get(wire.MEMBER) == member and accepts(message.body):
                        return message.body
                self._signals = [self._receive()]
        except (OSError, ValueError) as error:
            raise CgroupError(f"dbus signal {member} did not come: {_reason(error)}") from error

    def _authenticate(self) -> None:
        """EXTERNAL with no name said: the other end sees who we are, whatever we are called in a user namespace."""
        self._socket.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
        for expected in (b"DATA", b"OK"):
            line = b""
            while not line.endswith(b"\r\n") and len(line) < 1024:
                line += self._read(1)
            if not line.startswith(expected):
                raise CgroupError(
                    f"failed to connect to dbus: authentication: {line.decode('ascii', 'replace').strip()}"
                )

    def _receive(self) -> wire.Message:
        header = self._read(wire.HEADER)
        return wire.decode(header + self._read(wire.length(header) - wire.HEADER))

    def _read(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(remaining)
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionResetError("connection closed")
            parts += part
        return parts


def unix_path(address: str) -> str:
    """The first socket of a bus address (``unix:path=/run/user/0/bus,guid=…``). Raises CgroupError."""
    for one in address.split(";"):
        kind, _, rest = one.partition(":")
        values = dict(part.partition("=")[::2] for part in rest.split(","))
        if kind == "unix" and values.get("path"):
            return _unescape(values["path"])
        if kind == "unix" and values.get("abstract"):
            return "\0" + _unescape(values["abstract"])
    raise CgroupError(f"unsupported dbus address {address!r}")


def _unescape(value: str) -> str:
    """``%2f`` is a slash: "Server Addresses" of the specification."""
    first, *parts = value.split("%")
    try:
        return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts)
    except ValueError:
        raise CgroupError(f"malformed dbus address value {value!r}") from None


def user_bus() -> str:
    """Where an ordinary user's own bus is, as the environment says."""
    if address := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return unix_path(address)
    return f"{runtime_directory()}/bus"


def runtime_directory() -> str:
    """Where an ordinary user's sockets are."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
