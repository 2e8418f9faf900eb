"""The yard where containers of this set are made: directories, names, control groups, and a search for leftovers."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from conformance.bundle import Bundle, Change, Image, linux, shell
from conformance.cgroups import Cgroups
from conformance.container import Container
from conformance.probe import parts_of, script
from conformance.runtime import Runtime


class Yard:
    """Makes containers with names of their own."""

    def __init__(self, runtime: Runtime, directory: Path) -> None:
        self.runtime = runtime
        self.directory = directory
        self.image = Image(directory)
        self.cgroups = Cgroups()
        self.parent = f"/wherry-conformance-{os.getpid()}"
        self._numbers = itertools.count(1)

    def name(self) -> str:
        return f"conf-{os.getpid()}-{next(self._numbers)}"

    def container(self, *changes: Change) -> Container:
        """A container that does not exist yet, with its bundle; its group is ``parent/id`` unless changed."""
        name = self.name()
        bundle = Bundle(self.directory / name, self.image, linux(cgroupsPath=f"{self.parent}/{name}"), *changes)
        return Container(self.runtime, name, bundle)

    def folder(self, name: str) -> Path:
        """A new directory on the host, for what tests put into containers."""
        path = self.directory / f"{name}-{next(self._numbers)}"
        path.mkdir()
        return path

    def leftovers(self) -> list[str]:
        """What is left of all containers, one line each."""
        mountinfo = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            *(f"container {name}" for name in self.runtime.known()),
            *(f"mount {line.split()[4]}" for line in mountinfo if str(self.directory) in line),
            *(f"process {pid}" for pid in self._processes()),
            *(
                f"cgroup {child}"
                for group in self.cgroups.groups(self.parent)
                for child in group.iterdir()
                if child.is_dir()
            ),
        ]

    def settled(self) -> list[str]:
        """What is left when everything that is on its way has ended."""
        deadline = time.monotonic() + 5
        while (left := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def clear(self) -> None:
        """Remove what a failing runtime has left: only what is the yard's own."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        mountinfo = Path("/proc/self/mountinfo").read_text().splitlines()
        for point in [line.split()[4] for line in reversed(mountinfo) if str(self.directory) in line]:
            subprocess.run(["umount", "-l", point], check=False, timeout=10)
        deadline = time.monotonic() + 5
        while self._processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.cgroups.remove(self.parent)

    def _processes(self) -> list[int]:
        """Processes whose root, directory or mounts are in the yard."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if str(self.directory) in (entry / "mountinfo").read_text():
                    found.append(int(entry.name))
            except OSError:  # it ended while we looked
                continue
        return found


class Scope:
    """The containers of one test, or of one module: removed together at its end."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self._stack = ExitStack()

    def __call__(self, *changes: Change) -> Container:
        """A container that does not exist yet."""
        return self._stack.enter_context(self.yard.container(*changes))

    def later(self, work: Callable[[], object]) -> None:
        """Something else to undo at the end."""
        self._stack.callback(work)

    def look(self, parts: Mapping[str, str], *changes: Change, umask: int = -1) -> dict[str, str]:
        """Run a container that runs these commands; each one's output by name."""
        done = self(shell(script(parts)), *changes).run(umask=umask)
        assert done.code == 0, f"run: {done.code}, {done.err or done.out}"
        return parts_of(done.out)

    def close(self) -> None:
        self._stack.close()
