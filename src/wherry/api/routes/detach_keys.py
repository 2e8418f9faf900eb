"""Leaving a terminal without ending what runs in it: which keys, and where they occur in what the client types."""

from __future__ import annotations

from wherry.lib.errors import InvalidArgument

DEFAULT_KEYS = b"\x10\x11"
"""ctrl-p, ctrl-q."""

_CONTROL = {f"ctrl-{letter}": code for code, letter in enumerate("@abcdefghijklmnopqrstuvwxyz[\\]^_")}


def parse_detach_keys(text: str) -> bytes:
    """The bytes that ``ctrl-x,a,DEL`` names; empty is the default. Raises InvalidArgument in Docker's words."""
    if not text:
        return DEFAULT_KEYS
    codes = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            codes.append(ord(key))
        elif key.lower() in _CONTROL:
            codes.append(_CONTROL[key.lower()])
        elif key == "DEL":
            codes.append(127)
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
    return bytes(codes)


class DetachScanner:
    """Passes input on until the detach keys come, however the input is cut. A beginning of them is held back."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What may be passed on, and whether the keys have come (what follows them is dropped)."""
        text = self._held + data
        position = text.find(self._keys)
        if position >= 0:
            self._held = b""
            return text[:position], True
        length = min(len(self._keys) - 1, len(text))
        while length and not text.endswith(self._keys[:length]):
            length -= 1
        self._held = text[len(text) - length :]
        return text[: len(text) - length], False

    def rest(self) -> bytes:
        """What was held back, when the input has ended."""
        held, self._held = self._held, b""
        return held
