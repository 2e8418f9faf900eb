"""What a command reports, as runc does by logrus: to standard error, or to a file in its text or JSON format."""

from __future__ import annotations

import fcntl
import os
import time

from wherry.runtime.oci import gojson, output
from wherry.runtime.oci.errors import Failure, strerror

_HIGH = 256
_COLOURS = {"error": 31, "warning": 33, "info": 36, "debug": 37}
_SHORT = {"error": "ERRO", "warning": "WARN", "info": "INFO", "debug": "DEBU"}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\t": "\\t",
    "\r": "\\r",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
}


class Report:
    """Where warnings and errors go. ``path`` empty is standard error."""

    def __init__(self, path: str = "", kind: str = "text", *, debug: bool = False) -> None:
        if kind not in ("", "text", "json"):
            raise Failure(f"invalid log-format: {kind}")
        self._json = kind == "json"
        self._debug = debug
        self._fd = 2
        self._started = time.monotonic()
        if path:
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_SYNC | os.O_CLOEXEC
            try:
                fd = os.open(path, flags, 0o644)
            except OSError as error:
                raise Failure(f"open {path}: {strerror(error)}") from error
            # Out of the way of the descriptors that the caller may want passed on to a container.
            self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
            os.close(fd)

    def error(self, message: str) -> None:
        """Something did not work."""
        self._write("error", message)

    def warning(self, message: str) -> None:
        """Something is not as it was asked for; the command goes on."""
        self._write("warning", message)

    def debug(self, message: str) -> None:
        """For ``--debug`` alone."""
        if self._debug:
            self._write("debug", message)

    def fatal(self, message: str) -> None:
        """The one line why a command has failed; on standard error too if the log is elsewhere."""
        self.error(message)
        if self._fd != 2:
            output.err(f"{message}\n")

    def _write(self, level: str, message: str) -> None:
        line = self._line(level, message).encode("utf-8", "surrogateescape")
        try:
            output.write(self._fd, line)
        except OSError:
            return  # a full disk or a closed pipe must not change what the command does

    def _line(self, level: str, message: str) -> str:
        if self._json:
            return f'{{"level":"{level}","msg":{gojson.string(message)},"time":"{_now()}"}}\n'
        if os.isatty(self._fd):
            elapsed = int(time.monotonic() - self._started)
            return f"\x1b[{_COLOURS[level]}m{_SHORT[level]}\x1b[0m[{elapsed:04d}] {message:<44s} \n"
        return f'time="{_now()}" level={level} msg={_value(message)}\n'


def _value(text: str) -> str:
    return text if text and _PLAIN.issuperset(text) else quote(text)


def quote(text: str) -> str:
    """As Go's ``%q``."""
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    number = ord(char)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _now() -> str:
    """RFC 3339, seconds, local time."""
    now = time.localtime()
    zone = "Z"
    if now.tm_gmtoff:
        sign, minutes = "-" if now.tm_gmtoff < 0 else "+", abs(now.tm_gmtoff) // 60
        zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", now) + zone
