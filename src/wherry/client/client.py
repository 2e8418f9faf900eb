"""A client of the Engine API: one daemon, one negotiated version, errors as exceptions.

    client = Client("unix:///run/wherry/docker.sock")
    containers = client.json_list("GET", "/containers/json", {"all": "1"})

A plain request reuses the connection that the previous one left idle; a stream or a hijacked connection keeps its own.
"""

from __future__ import annotations

import os
import select

from wherry import __version__
from wherry.client.address import default_host, parse_host
from wherry.client.errors import ApiError, ClientError, ProtocolError
from wherry.client.http import Connection, File, Response
from wherry.client.jsonio import dumps, loads
from wherry.client.query import urlencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping
    from typing import Any

    Query = Mapping[str, str | Iterable[str]]
    Headers = Mapping[str, str]

NEWEST = "1.50"
_ERROR_LIMIT = 1 << 20


class Client:
    """Speaks to one daemon. Not safe for use by several threads."""

    def __init__(self, host: str = "", *, version: str = "") -> None:
        """Take ``host`` or the default; ``version`` (or $DOCKER_API_VERSION) fixes the API version unasked."""
        self.address = parse_host(host or default_host())
        self.server: dict[str, str] = {}
        """Headers of the daemon's answer to /_ping, in lower case; empty before negotiation."""
        self._version = version or os.environ.get("DOCKER_API_VERSION", "").removeprefix("v")
        self._idle: Connection | None = None

    def close(self) -> None:
        """Close the idle connection; the client may be used again."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    @property
    def version(self) -> str:
        """The API version in use; asks the daemon the first time."""
        if not self._version:
            theirs = self._ping().get("api-version") or "1.24"
            self._version = min(theirs, NEWEST, key=_number)
        return self._version

    def at_least(self, version: str) -> bool:
        """Whether the API in use is at or above ``version``."""
        return _number(self.version) >= _number(version)

    def os_type(self) -> str:
        """The daemon's operating system as /_ping says it."""
        return (self.server or self._ping()).get("ostype", "")

    def _ping(self) -> dict[str, str]:
        for method in ("HEAD", "GET"):
            response = self._send(method, "/_ping", None, {})
            self._whole(response, _ERROR_LIMIT)
            if response.status < 400:
                self.server = response.headers
                return response.headers
        return {}

    def request(
        self, method: str, path: str, query: Query | None = None, body: object = None, *, headers: Headers | None = None
    ) -> Response:
        """Send a request, raise ``ApiError`` if the daemon refuses, and leave the body to be read."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self._checked(self._send(method, self._target(path, query), body, sent))

    def json_object(
        self, method: str, path: str, query: Query | None = None, body: object = None, *, headers: Headers | None = None
    ) -> dict[str, Any]:
        """Send a request whose answer is a JSON object. Raises ``ProtocolError`` if it is anything else."""
        answer = self._json(method, path, query, body, headers)
        if not isinstance(answer, dict):
            raise ProtocolError(f"the daemon's answer to {method} {path} is not a JSON object")
        return answer

    def json_list(
        self, method: str, path: str, query: Query | None = None, body: object = None, *, headers: Headers | None = None
    ) -> list[dict[str, Any]]:
        """Send a request whose answer is a JSON list of objects. Raises ``ProtocolError`` if it is anything else."""
        answer = self._json(method, path, query, body, headers)
        if answer is None:
            return []
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise ProtocolError(f"the daemon's answer to {method} {path} is not a list of JSON objects")
        return answer

    def _json(self, method: str, path: str, query: Query | None, body: object, headers: Headers | None) -> Any:
        try:
            return loads(self._whole(self.request(method, path, query, body, headers=headers)))
        except ValueError as error:
            raise ProtocolError(f"the daemon's answer to {method} {path} is not JSON: {error}") from error

    def raw(self, method: str, path: str, query: Query | None = None, body: object = None) -> bytes:
        """Send a request and return its answer's bytes."""
        return self._whole(self.request(method, path, query, body))

    def call(self, method: str, path: str, query: Query | None = None, body: object = None) -> None:
        """Send a request whose answer says nothing."""
        self.raw(method, path, query, body)

    def hijack(self, path: str, query: Query | None = None, body: object = None) -> tuple[socket.socket, bytes]:
        """POST and take the connection over: the socket, and what already came through it."""
        headers = {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"}
        response = self._checked(self._send("POST", self._target(path, query), body, headers))
        if response.status not in {101, 200}:
            raise ProtocolError(f"unable to upgrade to tcp, received {response.status}")
        return response.connection.detach()

    def _target(self, path: str, query: Query | None) -> str:
        question = f"?{urlencode(query)}" if query else ""
        return f"/v{self.version}{path}{question}"

    def _send(self, method: str, target: str, body: object, headers: dict[str, str]) -> Response:
        headers["User-Agent"] = f"Wherry-Client/{__version__} (linux)"
        payload = body if body is None or isinstance(body, File | bytes) else (dumps(body) + "\n").encode()
        if payload is None:
            headers.pop("Content-Type", None)
        connection = self._connection()
        try:
            connection.send(method, target, headers, payload)
            return connection.answer(method)
        except BaseException:
            connection.close()
            raise

    def _connection(self) -> Connection:
        idle, self._idle = self._idle, None
        if idle is not None:
            if not _readable(idle.fileno()):
                return idle
            idle.close()  # the daemon ended it, or sent what nobody asked for
        return Connection(self.address)

    def _rest(self, response: Response) -> None:
        if self._idle is None and response.headers.get("connection", "").lower() != "close":
            self._idle = response.connection
        else:
            response.close()

    def _checked(self, response: Response) -> Response:
        if response.status < 400:
            return response
        raise _refusal(response, self._whole(response, _ERROR_LIMIT))

    def _whole(self, response: Response, limit: int = 1 << 62) -> bytes:
        """Read the body; the connection is then idle, or closed if that failed or there was more."""
        try:
            data = response.read(limit)
        except BaseException:
            response.close()
            raise
        if len(data) > limit:
            response.close()
        else:
            self._rest(response)
        return data


def _refusal(response: Response, body: bytes) -> ClientError:
    if not body.strip():
        return ApiError(
            response.status,
            f"request returned {response.status}; check if the server supports the requested API version",
        )
    if response.media_type != "application/json":
        return ApiError(response.status, body.decode("utf-8", "replace").strip())
    try:
        document = loads(body)
    except ValueError as error:
        return ProtocolError(f"Error reading JSON: {error}")
    message = document.get("message", "") if isinstance(document, dict) else ""
    return ApiError(
        response.status, str(message).strip() or f"API returned a {response.status} but provided no error-message"
    )


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
