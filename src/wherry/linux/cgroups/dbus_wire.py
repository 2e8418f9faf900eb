"""D-Bus messages as bytes, little-endian. Pure; imports struct.

D-Bus Specification 0.43, "Type System" and "Message Protocol". A value is plain Python by its signature: integers,
bool, str, bytes for ``ay``, list for other arrays, tuple for structures, dict for ``a{…}``, and (signature, value) for
a variant. What systemd is asked and answers needs no more; a message that does not fit its signature is a ValueError.

    byte 0   1      2       3         4            8        12
    'l'      type   flags   1         body bytes   serial   a(yv) header fields, to a multiple of 8, then the body
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_FIELD_TYPES = {
    PATH: "o",
    INTERFACE: "s",
    MEMBER: "s",
    ERROR_NAME: "s",
    REPLY_SERIAL: "u",
    DESTINATION: "s",
    SIGNATURE: "g",
}
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_ALIGNMENT = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}  # the others: 4
HEADER = 16
"""Bytes that say how long a message is."""
_LARGEST = 1 << 26


class Message:
    """A message that has come."""

    __slots__ = ("body", "fields", "kind")

    def __init__(self, kind: int, fields: dict[int, Any], body: list[Any]) -> None:
        self.kind = kind
        self.fields = fields
        self.body = body


def encode(kind: int, serial: int, fields: dict[int, Any], signature: str = "", body: tuple[Any, ...] = ()) -> bytes:
    """A whole message; ``body`` is the values of ``signature``."""
    content = bytearray()
    for part, value in zip(split(signature), body, strict=True):
        _put(content, part, value)
    if signature:
        fields = {**fields, SIGNATURE: signature}
    out = bytearray(struct.pack("<cBBBII", b"l", kind, 0, 1, len(content), serial))
    _put(out, "a(yv)", [(code, (_FIELD_TYPES[code], value)) for code, value in fields.items()])
    _pad(out, 8)
    return bytes(out + content)


def length(header: bytes) -> int:
    """How long the message that starts with these 16 bytes is. Raises ValueError."""
    mark = "<" if header[:1] == b"l" else ">"
    body, _, fields = struct.unpack_from(f"{mark}III", header, 4)
    total = HEADER + -(-fields // 8) * 8 + body
    if header[:1] not in (b"l", b"B") or header[3] != 1 or total > _LARGEST:
        raise ValueError("no D-Bus message")
    return int(total)


def decode(data: bytes) -> Message:
    """A whole message. Raises ValueError."""
    reader = _Reader(data, "<" if data[:1] == b"l" else ">")
    try:
        reader.at = 12
        fields = {code: value for code, (_, value) in reader.get("a(yv)")}
        reader.align(8)
        body = [reader.get(part) for part in split(fields.get(SIGNATURE, ""))]
    except (struct.error, IndexError, KeyError, RecursionError) as error:
        raise ValueError("malformed D-Bus message") from error
    return Message(data[1], fields, body)


def split(signature: str) -> list[str]:
    """A signature's complete types: ``sa(sv)`` → ``s``, ``a(sv)``. Raises ValueError."""
    parts = []
    while signature:
        end = _end(signature)
        parts.append(signature[:end])
        signature = signature[end:]
    return parts


def _end(signature: str) -> int:
    start = 0
    while signature[start : start + 1] == "a":
        start += 1
    if signature[start : start + 1] not in ("(", "{"):
        if start >= len(signature):
            raise ValueError("malformed D-Bus signature")
        return start + 1
    depth = 0
    for place, char in enumerate(signature):
        depth += (char in "({") - (char in ")}")
        if place > start and depth == 0:
            return place + 1
    raise ValueError("malformed D-Bus signature")


def _put(out: bytearray, signature: str, value: Any) -> None:
    kind = signature[0]
    _pad(out, _ALIGNMENT.get(kind, 4))
    if kind in _FIXED:
        out += struct.pack(f"<{_FIXED[kind]}", value)
    elif kind in "so":
        encoded = value.encode()
        out += struct.pack("<I", len(encoded)) + encoded + b"\0"
    elif kind == "g":
        out += bytes([len(value)]) + value.encode() + b"\0"
    elif kind == "v":
        _put(out, "g", value[0])
        _put(out, value[0], value[1])
    elif kind == "a":
        _put_array(out, signature[1:], value)
    else:
        for part, item in zip(split(signature[1:-1]), value, strict=True):
            _put(out, part, item)


def _put_array(out: bytearray, item_type: str, value: Any) -> None:
    place = len(out)
    out += b"\0\0\0\0"
    _pad(out, _ALIGNMENT.get(item_type[0], 4))  # not counted in the length
    start = len(out)
    for item in value.items() if isinstance(value, dict) else value:
        _put(out, item_type, item)
    struct.pack_into("<I", out, place, len(out) - start)


def _pad(out: bytearray, alignment: int) -> None:
    out += bytes(-len(out) % alignment)


class _Reader:
    def __init__(self, data: bytes, mark: str) -> None:
        self._data = data
        self._mark = mark
        self.at = 0

    def align(self, alignment: int) -> None:
        self.at += -self.at % alignment

    def get(self, signature: str) -> Any:
        kind = signature[0]
        self.align(_ALIGNMENT.get(kind, 4))
        if kind in _FIXED:
            value = self._number(_FIXED[kind])
            return bool(value) if kind == "b" else value
        if kind in "so":
            return self._text(self._number("I"))
        if kind == "g":
            return self._text(self._number("B"))
        if kind == "v":
            inner = self.get("g")
            return inner, self.get(inner)
        if kind == "a":
            return self._array(signature[1:])
        return tuple(self.get(part) for part in split(signature[1:-1]))

    def _array(self, item_type: str) -> Any:
        size = self._number("I")
        self.align(_ALIGNMENT.get(item_type[0], 4))
        end = self.at + size
        if end > len(self._data):
            raise ValueError("malformed D-Bus message")
        if item_type == "y":
            self.at = end
            return self._data[end - size : end]
        items = []
        while self.at < end:
            items.append(self.get(item_type))
        return dict(items) if item_type[0] == "{" else items

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"{self._mark}{code}", self._data, self.at)
        self.at += struct.calcsize(code)
        return value

    def _text(self, size: int) -> str:
        start, self.at = self.at, self.at + size + 1
        if self.at > len(self._data):
            raise ValueError("malformed D-Bus message")
        return self._data[start : start + size].decode("utf-8", "replace")
