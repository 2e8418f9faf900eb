"""Health checks: each runs by itself every so often; as long as one fails, every request is answered 503.

health:
  storagedriver: {enabled, interval: 10s, threshold: 3}
  file: [{file, interval}]                          fails while the file is there
  http: [{uri, statuscode, timeout, interval, threshold}]
  tcp:  [{addr, timeout, interval, threshold}]
"""

from __future__ import annotations

import http.client
import logging
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from wherry.lib.errors import InvalidArgument, WherryError
from wherry.lib.timespan import parse_duration
from wherry.registry.storage import Driver

_log = logging.getLogger(__name__)
INTERVAL = 10.0
TIMEOUT = 5.0


@dataclass(slots=True)
class Check:
    """One thing to look at."""

    name: str
    look: Callable[[], None]
    """Raises OSError or WherryError when it is not well."""
    interval: float = INTERVAL
    threshold: int = 1
    """So many failures in a row count as one."""
    failures: int = field(default=0, compare=False)


class Health:
    """Runs checks in one thread each, until closed."""

    def __init__(self, checks: list[Check]) -> None:
        self._checks = checks
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._failing: dict[str, str] = {}

    def start(self) -> None:
        """Begin to look; the first time at once."""
        for check in self._checks:
            threading.Thread(target=self._run, args=(check,), name=f"health {check.name}", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def failing(self) -> Mapping[str, str]:
        """What is not well, by check; empty: everything is."""
        with self._lock:
            return dict(self._failing)

    def _run(self, check: Check) -> None:
        while not self._ended.is_set():
            self.look(check)
            self._ended.wait(check.interval)

    def look(self, check: Check) -> None:
        """One turn of one check."""
        try:
            check.look()
        except (OSError, WherryError, http.client.HTTPException) as error:
            check.failures += 1
            _log.warning("health check %s: %s", check.name, error)
            if check.failures >= check.threshold:
                with self._lock:
                    self._failing[check.name] = str(error)
            return
        check.failures = 0
        with self._lock:
            self._failing.pop(check.name, None)


def make_checks(section: Mapping[str, Any], driver: Driver) -> list[Check]:
    """The checks that the ``health`` section asks for. Raises InvalidArgument."""
    checks = []
    storage = section.get("storagedriver") or {}
    if storage.get("enabled"):
        checks.append(_timed(Check(f"storagedriver_{driver.name}", driver.check), storage))
    checks += [
        _timed(Check(str(one["file"]), partial(_look_for_file, str(one["file"]))), one)
        for one in _rows(section, "file", "file")
    ]
    for one in _rows(section, "http", "uri"):
        expected, limit = int(one.get("statuscode") or 200), _seconds(one, "timeout", TIMEOUT)
        checks.append(_timed(Check(str(one["uri"]), partial(_ask, str(one["uri"]), expected, limit)), one))
    for one in _rows(section, "tcp", "addr"):
        limit = _seconds(one, "timeout", TIMEOUT)
        checks.append(_timed(Check(str(one["addr"]), partial(_connect, str(one["addr"]), limit)), one))
    return checks


def _rows(section: Mapping[str, Any], kind: str, needed: str) -> Iterator[Mapping[str, Any]]:
    for one in section.get(kind) or ():
        if not isinstance(one, dict) or not one.get(needed):
            raise InvalidArgument(f"configuration: health.{kind}: {needed} is missing")
        yield one


def _timed(check: Check, options: Mapping[str, Any]) -> Check:
    check.interval = max(_seconds(options, "interval", INTERVAL), 0.1)
    check.threshold = max(int(options.get("threshold") or 1), 1)
    return check


def _seconds(options: Mapping[str, Any], key: str, default: float) -> float:
    value = options.get(key)
    try:
        return parse_duration(str(value)) / 1e9 if value else default
    except ValueError:
        raise InvalidArgument(f"configuration: health: {key}: a duration is expected, not {value!r}") from None


def _look_for_file(path: str) -> None:
    if os.path.exists(path):
        raise OSError(f"file exists: {path}")


def _ask(uri: str, expected: int, limit: float) -> None:
    if not uri.startswith(("http://", "https://")):
        raise OSError(f"not an http URL: {uri}")
    request = urllib.request.Request(uri, method="HEAD")  # noqa: S310 - the scheme has been looked at
    try:
        with urllib.request.urlopen(request, timeout=limit) as answer:  # noqa: S310
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    if status != expected:
        raise OSError(f"downstream service returned unexpected status: {status}")


def _connect(address: str, limit: float) -> None:
    host, _, port = address.rpartition(":")
    try:
        number = int(port)
    except ValueError:
        raise OSError(f"not an address: {address}") from None
    with socket.create_connection((host.strip("[]"), number), timeout=limit):
        pass
