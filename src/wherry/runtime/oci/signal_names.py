"""Signals by name or number, as runc takes them. Imports ``_signal``, not the enums of ``signal``."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # has no stub

from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.report import quote

_ALIASES = {"SIGIOT": "SIGABRT", "SIGPOLL": "SIGIO", "SIGCLD": "SIGCHLD", "SIGUNUSED": "SIGSYS"}


def parse(text: str) -> int:
    """``9``, ``KILL``, ``sigkill``. Raises Failure."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit():
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    number = getattr(_signal, _ALIASES.get(name, name), None)
    if "_" in name or not isinstance(number, int) or number <= 0:
        raise Failure(f"unknown signal {quote(text)}")
    return number
