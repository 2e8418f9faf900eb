"""A daemon that does nothing but write down what it is asked: what a CLI sends is what it understood of its flags."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

ID = "f" * 64


class Recorder:
    """Listens on a unix socket; ``requests`` holds (method, target, body) of everything but pings."""

    def __init__(self, path: Path, *, api: str = "1.50") -> None:
        self.path = path
        self.api = api
        self.requests: list[tuple[str, str, bytes]] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        for thread in self._threads:
            thread.join(timeout=5)
        self._server.close()

    def created(self) -> tuple[str, object]:
        """The last create request: its query and its body."""
        for method, target, body in reversed(self.requests):
            if method == "POST" and "/containers/create" in target:
                return target.partition("?")[2], json.loads(body)
        raise AssertionError(f"nothing was created: {self.requests}")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.settimeout(10)
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while self._one(stream):
                pass

    def _one(self, stream) -> bool:
        try:
            line = stream.readline().decode()
        except OSError:
            return False
        if not line.strip():
            return False
        method, target, _ = line.split(" ")
        headers = {}
        while (header := stream.readline().decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
        self._heard(headers)
        status, answer = self._answer(method, target, body)
        head = (
            f"HTTP/1.1 {status}\r\nApi-Version: {self.api}\r\nOstype: linux\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(answer)}\r\n\r\n"
        )
        stream.write(head.encode() + (b"" if method == "HEAD" else answer))
        stream.flush()
        return True

    def _heard(self, headers: dict[str, str]) -> None:
        """For who wants to know the headers of a request."""

    def _answer(self, method: str, target: str, body: bytes) -> tuple[str, bytes]:
        path = target.partition("?")[0]
        if path.endswith("/_ping"):
            return "200 OK", b"OK"
        self.requests.append((method, target, body))
        if path.endswith(("/containers/create", "/exec", "/networks/create")):
            return "201 Created", json.dumps({"Id": ID, "Warnings": []}).encode()
        if path.endswith("/update"):
            return "200 OK", json.dumps({"Warnings": None}).encode()
        if path.endswith("/volumes/create"):
            return "201 Created", json.dumps({"Name": "v"}).encode()
        if method == "GET" and path.endswith("/json") and "/containers/" in path:
            return "200 OK", json.dumps({"Id": ID, "Config": {}, "State": {"Running": True}, "HostConfig": {}}).encode()
        if method == "GET":
            return "200 OK", b"[]"
        return "204 No Content", b""
