"""The registry's log on stderr and its access log on stdout, in the forms of Docker's registry."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from wherry.lib.clock import now_ns, rfc3339_fixed
from wherry.lib.errors import InvalidArgument
from wherry.registry.http.message import Request

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES = {logging.WARNING: "warning", logging.CRITICAL: "fatal"}
FORMATS = ("text", "json", "logstash")
STDOUT = 1


class _Lines(logging.Formatter):
    """``key=value`` lines, or JSON with the keys of logrus or logstash."""

    def __init__(self, form: str, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self._form = form
        self._fields = {str(key): value for key, value in fields.items()}

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback goes into the message."""
        level = _NAMES.get(record.levelno, record.levelname.lower())
        message = record.getMessage()
        if record.exc_info:
            message += f"\n{self.formatException(record.exc_info)}"
        moment = rfc3339_fixed(now_ns())
        if self._form == "text":
            more = "".join(f" {key}={json.dumps(value, default=str)}" for key, value in self._fields.items())
            return f'time="{moment}" level={level} msg={json.dumps(message)}{more}'
        said = {**self._fields, "level": level}
        if self._form == "json":
            return json.dumps({**said, "msg": message, "time": moment}, default=str)
        return json.dumps({**said, "@timestamp": moment, "@version": "1", "message": message}, default=str)


def set_up(level: str, form: str, fields: Mapping[str, Any]) -> None:
    """Send everything from ``level`` up to stderr. Raises InvalidArgument."""
    if level not in _LEVELS:
        raise InvalidArgument(f"configuration: log.level: {level!r} is none of {', '.join(_LEVELS)}")
    if form not in FORMATS:
        raise InvalidArgument(f"configuration: log.formatter: {form!r} is none of {', '.join(FORMATS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(form, fields))
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)


def write_access(request: Request, status: int, sent: int) -> None:
    """One line in the combined form of Apache; written by one call, so that lines stay whole."""
    address = request.client.rpartition(":")[0].strip("[]") or "-"
    moment = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    agent, referer = (request.headers.get(name, "") for name in ("user-agent", "referer"))
    asked = f"{request.method} {request.target} {request.protocol}"
    line = (
        f"{address} - {request.user or '-'} [{moment}] {_quoted(asked)} {status} {sent} "
        f"{_quoted(referer)} {_quoted(agent)}\n"
    )
    os.write(STDOUT, line.encode("utf-8", "replace"))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)
