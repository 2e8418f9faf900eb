"""Containers, as the Engine API offers them: one function per call, thin enough to read beside its documentation."""

from __future__ import annotations

from wherry.client.errors import ClientError
from wherry.client.query import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping
    from typing import Any

    from wherry.client.client import Client, Query
    from wherry.client.http import Response

_IN_PATH = b"/:@$&+,;="


def path_of(name: str, call: str = "") -> str:
    """/containers/<name><call>. Raises ``ClientError`` for an empty name, which would address another route."""
    if not name.strip():
        raise ClientError("invalid container name or ID: value is empty")
    return f"/containers/{quote(name, _IN_PATH)}{call}"


def create(client: Client, body: object, *, name: str = "", platform: str = "") -> Mapping[str, Any]:
    """Return the answer: Id and Warnings."""
    query = {key: value for key, value in (("name", name), ("platform", platform)) if value}
    return client.json_object("POST", "/containers/create", query, body)


def start(client: Client, name: str, *, checkpoint: str = "", checkpoint_dir: str = "") -> None:
    """Start it; already running is no error."""
    query = {key: value for key, value in (("checkpoint", checkpoint), ("checkpoint-dir", checkpoint_dir)) if value}
    client.call("POST", path_of(name, "/start"), query)


def stop(client: Client, name: str, *, signal: str = "", timeout: int | None = None, call: str = "/stop") -> None:
    """Stop it (``call`` "/restart" restarts it), killing after ``timeout`` seconds."""
    query = {}
    if timeout is not None:
        query["t"] = str(timeout)
    if signal and client.at_least("1.42"):
        query["signal"] = signal
    client.call("POST", path_of(name, call), query)


def kill(client: Client, name: str, signal: str = "") -> None:
    """Send a signal, KILL unless said."""
    client.call("POST", path_of(name, "/kill"), {"signal": signal} if signal else None)


def update(client: Client, name: str, body: object) -> Mapping[str, Any]:
    """Change its limits and its restart policy; the answer has Warnings."""
    return client.json_object("POST", path_of(name, "/update"), None, body)


def act(client: Client, name: str, verb: str) -> None:
    """Pause or unpause."""
    client.call("POST", path_of(name, f"/{verb}"))


def wait(client: Client, name: str, condition: str = "") -> Response:
    """Begin to wait; the answer's body comes when the condition is met."""
    return client.request("POST", path_of(name, "/wait"), {"condition": condition} if condition else None)


def attach(
    client: Client, name: str, *, stdin: bool, stdout: bool, stderr: bool, keys: str = "", logs: bool = False
) -> tuple[socket.socket, bytes]:
    """Take over a connection that carries the container's streams."""
    query = {"stream": "1"}
    if keys:
        query["detachKeys"] = keys
    for key, wanted in (("logs", logs), ("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        if wanted:
            query[key] = "1"
    return client.hijack(path_of(name, "/attach"), dict(sorted(query.items())))


def resize(client: Client, name: str, height: int, width: int) -> None:
    """Tell its terminal the size of ours."""
    client.call("POST", path_of(name, "/resize"), {"h": str(height), "w": str(width)})


def remove(client: Client, name: str, *, volumes: bool = False, link: bool = False, force: bool = False) -> None:
    """Remove it."""
    query = {key: "1" for key, wanted in (("v", volumes), ("link", link), ("force", force)) if wanted}
    client.call("DELETE", path_of(name), query)


def rename(client: Client, name: str, new: str) -> None:
    """Give it another name."""
    client.call("POST", path_of(name, "/rename"), {"name": new})


def listing(client: Client, query: Query) -> list[dict[str, Any]]:
    """The summaries of containers."""
    return client.json_list("GET", "/containers/json", query)


def inspect(client: Client, name: str, *, size: bool = False) -> bytes:
    """Everything about it, as the daemon wrote it."""
    return client.raw("GET", path_of(name, "/json"), {"size": "1"} if size else None)


def describe(client: Client, name: str) -> dict[str, Any]:
    """Everything about it, decoded."""
    return client.json_object("GET", path_of(name, "/json"))


def logs(client: Client, name: str, query: Query) -> Response:
    """Its log, multiplexed unless it has a terminal."""
    return client.request("GET", path_of(name, "/logs"), query)


def changes(client: Client, name: str) -> list[dict[str, Any]]:
    """What it changed of its image's files: paths, and a kind each (0 changed, 1 added, 2 deleted)."""
    return client.json_list("GET", path_of(name, "/changes"))


def export(client: Client, name: str) -> Response:
    """All its files, as a tar."""
    return client.request("GET", path_of(name, "/export"))


def top(client: Client, name: str, arguments: Iterable[str]) -> Mapping[str, Any]:
    """Its processes: Titles and Processes."""
    line = " ".join(arguments)
    return client.json_object("GET", path_of(name, "/top"), {"ps_args": line} if line else None)


def stats(client: Client, name: str, *, stream: bool) -> Response:
    """Readings of its resources, one JSON document each."""
    return client.request("GET", path_of(name, "/stats"), {"stream": "1" if stream else "0"})


def exec_create(client: Client, name: str, body: object) -> str:
    """Prepare a command in a running container; return its id."""
    answer = client.json_object("POST", path_of(name, "/exec"), None, body)
    return str(answer.get("Id", ""))


def exec_start(client: Client, exec_id: str, body: object) -> None:
    """Run it detached."""
    client.call("POST", f"/exec/{exec_id}/start", None, body)


def exec_attach(client: Client, exec_id: str, body: object) -> tuple[socket.socket, bytes]:
    """Run it and take over a connection that carries its streams."""
    return client.hijack(f"/exec/{exec_id}/start", None, body)


def exec_inspect(client: Client, exec_id: str) -> Mapping[str, Any]:
    """Whether it runs, and its exit code."""
    return client.json_object("GET", f"/exec/{exec_id}/json")


def exec_resize(client: Client, exec_id: str, height: int, width: int) -> None:
    """Tell its terminal the size of ours."""
    client.call("POST", f"/exec/{exec_id}/resize", {"h": str(height), "w": str(width)})
