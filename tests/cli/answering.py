"""A daemon that answers what a test lays down for it, and writes down what it is asked, headers and all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.recorder import Recorder

Answer = tuple[int, object]


class Answering(Recorder):
    """``answers`` maps the end of a path to (status, document), or to a function of the request's body."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[str, Answer | Callable[[Any], Answer]] = {}
        self.headers: list[dict[str, str]] = []
        super().__init__(path)

    def _heard(self, headers: dict[str, str]) -> None:
        self.headers.append(headers)

    def _answer(self, method: str, target: str, body: bytes) -> tuple[str, bytes]:
        path = target.partition("?")[0]
        for end, answer in self.answers.items():
            if path.endswith(end):
                self.requests.append((method, target, body))
                status, document = answer(json.loads(body)) if callable(answer) else answer
                raw = document if isinstance(document, bytes) else json.dumps(document).encode()
                return f"{status} Whatever", raw
        return super()._answer(method, target, body)
