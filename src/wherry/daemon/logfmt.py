"""The daemon's log on stderr, in the key=value lines that dockerd writes."""

from __future__ import annotations

import json
import logging
import sys

from wherry.lib.clock import now_ns, rfc3339_fixed

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_NAMES = {logging.WARNING: "warning", logging.CRITICAL: "fatal"}


class _LogfmtFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = _NAMES.get(record.levelno, record.levelname.lower())
        line = f'time="{rfc3339_fixed(now_ns())}" level={level} msg={json.dumps(record.getMessage())}'
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


def set_up(level: str, *, debug: bool) -> None:
    """Send everything from ``level`` up to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LogfmtFormatter())
    logging.basicConfig(level=logging.DEBUG if debug else _LEVELS[level], handlers=[handler], force=True)
