"""One process in a container: its config.json, and the runtime that runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.bundles import Bundle, Done

RUNTIME = os.environ.get("WHERRY_TEST_RUNTIME", "")
"""Another runtime's command, to see that a test says what runc does: empty for ours."""
_HERE = Path(__file__).parent
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Process:
    """``process`` of a bundle's config.json, to be changed and run."""

    bundle: Bundle
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def rootfs(self) -> Path:
        return self.bundle.rootfs

    def set(self, **fields: Any) -> Process:
        """Fields of ``process``; None takes one away."""
        self.spec |= fields
        return self

    def linux(self, **fields: Any) -> Process:
        self.bundle.linux |= fields
        return self

    def command(self, args: Iterable[str], *options: str) -> list[str]:
        """config.json, and how it is run."""
        self.bundle.write("")
        path = self.bundle.directory / "config.json"
        config = json.loads(path.read_text())
        config["process"] |= {"args": list(args), **self.spec}
        config["process"] = {key: value for key, value in config["process"].items() if value is not None}
        path.write_text(json.dumps(config))
        directory, name = str(self.bundle.directory), self.bundle.name
        if RUNTIME:
            return [*RUNTIME.split(), "run", *options, "--bundle", directory, name]
        return [sys.executable, str(_HERE / "run_process.py"), directory, name, *options]

    def run(
        self, *args: str, options: Iterable[str] = (), before: str = "", redirect: str = "", **environment: str
    ) -> Done:
        """Run ``args``; ``before`` and ``redirect`` are what a shell does first, and with the runtime's descriptors."""
        command = self.command(args, *options)
        done = subprocess.run(
            ["/bin/sh", "-c", f'{before} exec "$@" {redirect}', "sh", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env=with_source() | environment,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def shell(self, script: str, **further: Any) -> Done:
        """Run ``script`` by the container's shell."""
        return self.run("/bin/sh", "-c", script, **further)


def with_source() -> dict[str, str]:
    """The environment for a runtime of ours."""
    return {**os.environ, "PYTHONPATH": str(_HERE.parents[1] / "src")}


def fields(text: str) -> dict[str, str]:
    """Lines of ``Name: value``, as in /proc/<pid>/status."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
