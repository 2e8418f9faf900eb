"""Identifiers: 64 hexadecimal digits, their 12-digit short form, and look-up by unambiguous prefix."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

_HEX64 = re.compile(r"[0-9a-f]{64}")


def new_id() -> str:
    """A random identifier of 64 hexadecimal digits that does not read as a decimal number.

    A short form of digits only would be taken for a number by tools (a host name, for one), so
    such draws are thrown away, as Docker does.
    """
    while True:
        candidate = secrets.token_hex(32)
        if not candidate[:12].isdigit():
            return candidate


def short(full: str) -> str:
    """The first twelve digits, without a digest's algorithm."""
    return full.rpartition(":")[2][:12]


def is_full(text: str) -> bool:
    """Whether ``text`` is a complete identifier."""
    return _HEX64.fullmatch(text) is not None


def by_prefix(prefix: str, ids: Iterable[str]) -> list[str]:
    """Every id that starts with ``prefix``; more than one means that the prefix is ambiguous."""
    return [candidate for candidate in ids if candidate.startswith(prefix)]
