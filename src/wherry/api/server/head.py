"""A request's head, parsed by httptools (llhttp) and checked: pure, bytes in, value out.

Only the head is given to the parser. A parser that saw the stream itself would raise its upgrade signal before the
body of a hijacked request has come, and would read the raw bytes after it as a further request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httptools
import msgspec

from wherry.api.server.framing import Chunked, Fixed, Framing


class BadRequest(Exception):
    """The bytes are not a request that we serve; the connection is answered ``status`` in plain text and closed."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Headers(Mapping[str, str]):
    """Header fields by name in any case; repeated fields are joined by a comma."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Head(msgspec.Struct, frozen=True):
    """A request up to its body. (A msgspec struct: a frozen dataclass takes three times as long to make.)"""

    method: str
    path: bytes
    """Undecoded, without the query."""
    query: bytes
    headers: Headers
    keep_alive: bool
    old: bool
    """HTTP/1.0: no chunked answers."""
    framing: Framing | None
    """None: there is no body."""
    upgrade: bool
    expects_continue: bool


_COMMON = (
    b"Accept",
    b"Accept-Encoding",
    b"Connection",
    b"Content-Length",
    b"Content-Type",
    b"Host",
    b"Transfer-Encoding",
    b"Upgrade",
    b"User-Agent",
)
_NAMES = {name: name.decode("ascii").lower() for name in _COMMON}
"""What nearly every request carries, lowered once."""


class _Collector:
    """What httptools calls back; its method names are fixed."""

    __slots__ = ("complete", "fields", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: dict[str, str] = {}
        self.complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _NAMES.get(name) or name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")
        if key in self.fields:
            text = f"{self.fields[key]}, {text}"
        self.fields[key] = text

    def on_headers_complete(self) -> None:
        self.complete = True


def parse_head(data: bytes) -> Head:
    """The head in ``data``, which ends with the empty line. Raises BadRequest."""
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadRequest(400, str(error)) from None
    if not collector.complete:
        raise BadRequest(400, "incomplete request")
    return _checked(parser, collector)


def _checked(parser: httptools.HttpRequestParser, collector: _Collector) -> Head:
    fields = collector.fields
    version: str = parser.get_http_version()
    method: str = parser.get_method().decode("ascii")
    old = version != "1.1"
    if old and version != "1.0":
        raise BadRequest(505, f"HTTP/{version}")
    if method == "CONNECT":
        raise BadRequest(400, "CONNECT")
    if not old and "host" not in fields:
        raise BadRequest(400, "missing required Host header")
    expect = fields.get("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise BadRequest(417)
    path, query = _target(collector.target)
    upgrade = "upgrade" in fields
    return Head(
        method=method,
        path=path,
        query=query,
        headers=Headers(fields),
        keep_alive=_keeps_alive(fields.get("connection"), old=old),
        old=old,
        framing=_framing(fields),
        upgrade=upgrade,
        expects_continue=expect is not None and not old,
    )


def _keeps_alive(connection: str | None, *, old: bool) -> bool:
    """The parser forgets it with the end of the message, so it is asked of the header."""
    if connection is None:
        return not old
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options and (not old or "keep-alive" in options)


def _target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request target in origin or absolute form."""
    if not target.startswith(b"/"):
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise BadRequest(400, "invalid URI for request")
        target = b"/" + rest.partition(b"/")[2]
    path, _, query = target.partition(b"?")
    return path, query.partition(b"#")[0]


def _framing(fields: dict[str, str]) -> Framing | None:
    coding = fields.get("transfer-encoding")
    if coding is not None:
        if "content-length" in fields:
            raise BadRequest(400, "both Content-Length and Transfer-Encoding")
        if coding.lower() != "chunked":
            raise BadRequest(501, "unsupported transfer encoding")
        return Chunked()
    length = fields.get("content-length")
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        raise BadRequest(400, f"bad Content-Length {length!r}")
    return Fixed(int(length)) if int(length) else None
