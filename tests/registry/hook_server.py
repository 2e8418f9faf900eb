"""A server that keeps what is posted to it and answers as it is told."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Post(NamedTuple):
    path: str
    headers: dict[str, str]
    body: Any


class HookServer:
    """A context manager; ``answers`` gives the status of each request in turn, 200 when there is no more."""

    def __init__(self, *answers: int) -> None:
        self.posts: queue.Queue[Post] = queue.Queue()
        self.answers = list(answers)
        self.hold: Callable[[], object] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.hold is not None:
                    outer.hold()
                status = outer.answers.pop(0) if outer.answers else 200
                if status < 400:
                    outer.posts.put(Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next(self) -> Post:
        return self.posts.get(timeout=20)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
