"""A look inside: one container runs a script of named parts, and each test reads the part that it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


def script(parts: Mapping[str, str]) -> str:
    """A shell script that says each part's name before its output; a part that fails does not end it."""
    return "\n".join([*(f"echo '@@ {name}'\n{{ {commands}\n}} 2>&1" for name, commands in parts.items()), "true"])


def parts_of(output: str) -> dict[str, str]:
    """What each part has written, by name."""
    pieces = re.split(r"^@@ (.+)\n", output, flags=re.MULTILINE)
    return {name: text.rstrip("\n") for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


@dataclass(frozen=True)
class Mounted:
    """One line of mountinfo (proc(5))."""

    root: str
    point: str
    options: frozenset[str]
    propagation: frozenset[str]
    kind: str
    source: str
    super_options: frozenset[str]


def mounted(mountinfo: str) -> dict[str, Mounted]:
    """The mounts by their point; of several at one point the topmost."""
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, root, point, options, *propagation = before.split()
        kind, source, super_options = after.split()
        marks = frozenset(item.partition(":")[0] for item in propagation)
        found[point] = Mounted(
            root, point, frozenset(options.split(",")), marks, kind, source, frozenset(super_options.split(","))
        )
    return found


def status_field(status: str, name: str) -> str:
    """A field of /proc/PID/status."""
    return next(line.partition(":")[2].strip() for line in status.splitlines() if line.startswith(f"{name}:"))
