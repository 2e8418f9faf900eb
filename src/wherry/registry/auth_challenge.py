"""What a refused client is told: how to come in, and what it wanted to do, as Docker's registry says it."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.registry.errors import AccessRefused
from wherry.registry.hooks import Access


def refusal(challenge: str, accesses: Sequence[Access]) -> AccessRefused:
    """401 with ``challenge``; the detail lists the accesses."""
    detail = [{"Type": one.kind, "Class": "", "Name": one.name, "Action": one.action} for one in accesses]
    return AccessRefused(challenge, detail=detail or None)


def quoted(text: str) -> str:
    """``text`` as a quoted string of a header (RFC 9110, 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
