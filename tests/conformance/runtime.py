"""The runtime under test, driven as the command that engines call.

``WHERRY_TEST_RUNTIME`` names another one, with options of its own where it needs some (``/usr/sbin/runc``,
``crun --cgroup-manager=disabled``): the tests are proven on the reference before they judge ours.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from support.commands import PROJECT, find

OURS = PROJECT / ".venv" / "bin" / "wherry-oci"
TIMEOUT = 200 if "WHERRY_VM" in os.environ else 20
"""Seconds that one command may take; a guest under emulation is ten times as slow."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def failed(self) -> bool:
        """Ended with an error of its own, not by a crash."""
        return self.code != 0 and "Traceback" not in self.err and "panic" not in self.err


class Runtime:
    """A runtime's program with a state directory of its own."""

    def __init__(self, words: list[str], root: Path) -> None:
        self.program, *self.options = words
        self.root = root

    @staticmethod
    def chosen() -> list[str]:
        """The program under test and its options; nothing where there is none."""
        asked = os.environ.get("WHERRY_TEST_RUNTIME") or (str(OURS) if OURS.exists() else "wherry-oci")
        program, *options = shlex.split(asked)
        found = find(program)
        return [found, *options] if found else []

    @property
    def name(self) -> str:
        return Path(self.program).name

    @cached_property
    def version(self) -> str:
        """The first number with dots that ``--version`` prints."""
        found = re.search(r"\d+(\.\d+)+", self("--version").out)
        return found.group() if found else "unknown"

    @cached_property
    def features(self) -> dict[str, Any] | None:
        """The features document; None where the runtime has no such command."""
        answer = self("features")
        return json.loads(answer.out) if answer.code == 0 else None

    def argv(self, *words: str) -> list[str]:
        return [self.program, *self.options, "--root", str(self.root), *words]

    def __call__(self, *words: str, cwd: Path | None = None, timeout: float = TIMEOUT) -> Outcome:
        """Run a command that leaves nothing behind which holds its output."""
        done = subprocess.run(
            self.argv(*words),
            check=False,
            cwd=cwd,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def known(self) -> list[str]:
        """The containers that have something in the state directory."""
        return sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))
