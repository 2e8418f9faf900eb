"""Engines that a user drives with the same command line, each with the OCI runtime under test.

Engine
├── Podman      Debian's podman, roots of its own
├── Docker      the docker CLI on a daemon: Debian's dockerd (containerd's shim calls the runtime), or wherryd

Podman's containers have no network: its plugins are not what is tried here.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from support import leaks
from support.commands import eventually, find, run, search_path
from support.daemons import Daemon
from support.terminal import Terminal

WHERRY_OCI = str(Path(sys.executable).with_name("wherry-oci"))
IMAGE = "busybox:latest"
UNIFIED = Path("/sys/fs/cgroup/unified/cgroup.controllers")

# crun refuses a machine whose v2 hierarchy beside v1 has controllers: there it is shown one without.
CRUN_ON_HYBRID = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs none /sys/fs/cgroup/unified && exec crun "$@"' crun "$@"
"""


class Engine:
    """A command line with the same verbs everywhere."""

    runtime = ""

    def argv(self, *args: str) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        raise NotImplementedError

    def run_options(self) -> list[str]:
        """What each ``run`` is given besides."""
        raise NotImplementedError

    def call(
        self,
        *args: str,
        input: bytes | None = None,  # noqa: A002  subprocess.run calls it so
        timeout: float = 40,
    ) -> subprocess.CompletedProcess[str]:
        """A command, whatever becomes of it."""
        done = subprocess.run(
            self.argv(*self._complete(args)),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
            env=self.environment(),
            check=False,
        )
        return subprocess.CompletedProcess(
            args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def out(self, *args: str, **options: Any) -> str:
        """What a command that must succeed prints, without the last newline."""
        done = self.call(*args, **options)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(args)} exited {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout.removesuffix("\n")

    def terminal(self, *args: str) -> Terminal:
        """A command at a terminal of 24 rows and 80 columns."""
        return Terminal(self.argv(*self._complete(args)), {"TERM": "xterm", **self.environment()})

    def inspect(self, name: str, field: str) -> str:
        return self.out("inspect", "--format", "{{" + field + "}}", name)

    def log_has(self, name: str, text: str) -> None:
        """Wait until the container has said it."""

        def said() -> bool:
            done = self.call("logs", name)
            return text in done.stdout + done.stderr

        eventually(f"{name} says {text!r}", said, within=15)

    def remove(self, *names: str) -> None:
        """Take them away, running or not."""
        self.out("rm", "-f", *names)

    def clear(self) -> None:
        """Remove every container."""
        if names := self.out("ps", "-aq").split():
            self.remove(*names)

    def litter(self) -> list[str]:
        """What should not be there without any container."""
        raise NotImplementedError

    def close(self) -> list[str]:
        """End it; what is left on the machine."""
        raise NotImplementedError

    def _complete(self, args: tuple[str, ...]) -> list[str]:
        return [args[0], *self.run_options(), *args[1:]] if args[0] == "run" else list(args)


class Docker(Engine):
    """A daemon, by the docker CLI."""

    def __init__(self, daemon: Daemon, runtime: str, image: bytes) -> None:
        self.daemon = daemon
        self.runtime = runtime
        daemon.start()
        daemon.docker("load", input=image)

    def argv(self, *args: str) -> list[str]:
        return self.daemon.docker_argv(*args)

    def environment(self) -> dict[str, str]:
        return self.daemon.docker_env()

    def run_options(self) -> list[str]:
        return ["--runtime", self.runtime]

    def litter(self) -> list[str]:
        return self.daemon.settled(self.daemon.litter)

    def close(self) -> list[str]:
        try:
            self.daemon.clear()
            self.daemon.stop()
            return self.daemon.settled(self.daemon.leftovers)
        finally:
            self.daemon.discard()


class Podman(Engine):
    """Podman as root, with everything it keeps below a temporary directory."""

    def __init__(self, runtime: str, image: bytes) -> None:
        self.runtime = runtime
        self.name = f"wp{secrets.token_hex(3)}"
        self.root = tempfile.mkdtemp(prefix=f"{self.name}-")
        # Its own defaults ask for more than what root may have in a container.
        Path(self.root, "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            # How it learns of a runtime that is not in its own list.
            '[engine]\nruntime_supports_json = ["crun", "runc", "wherry-oci"]\n'
        )
        self.out("load", input=image)

    def argv(self, *args: str) -> list[str]:
        program = find("podman")
        assert program is not None
        return [
            program,
            *("--root", f"{self.root}/root", "--runroot", f"{self.root}/run", "--tmpdir", f"{self.root}/tmp"),
            *("--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", self.runtime),
            *args,
        ]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": search_path(),
            "HOME": self.root,
            "CONTAINERS_CONF": f"{self.root}/containers.conf",
            leaks.MARK: self.name,
        }

    def run_options(self) -> list[str]:
        return ["--network", "none", "--cgroup-parent", f"/{self.name}"]

    def remove(self, *names: str) -> None:
        """At once: it would wait for the containers' own end first."""
        self.out("rm", "-f", "-t", "0", *names)

    def litter(self) -> list[str]:
        """Conmon and podman's own clean-up end a moment after the container."""

        def search() -> list[str]:
            processes = leaks.processes(self.name, self.root)
            mounts = [point for point in leaks.mounts(self.name, self.root) if point != f"{self.root}/root/overlay"]
            return [*(f"process {item}" for item in processes), *(f"mount {item}" for item in mounts)]

        left: list[str] = []

        def settled() -> bool:
            left[:] = search()
            return not left

        try:
            eventually("podman's leavings have gone", settled, within=5)
        except AssertionError:
            return left
        return []

    def close(self) -> list[str]:
        try:
            self.clear()
            left = self.litter()
        finally:
            for line in leaks.processes(self.name, self.root):
                run("kill", "-9", line.split()[0], check=False)
            for point in reversed(leaks.mounts(self.name, self.root)):
                run("umount", "-l", point, check=False)
            for top in leaks.cgroups(self.name):
                for folder, _, _ in sorted(os.walk(top), reverse=True):
                    Path(folder).rmdir()
            shutil.rmtree(self.root, ignore_errors=True)
        return left


def crun_words(directory: Path) -> str | None:
    """crun as it can be called on this machine; None if it is not there."""
    found = find("crun")
    if found is None or not (UNIFIED.exists() and UNIFIED.read_text().strip()):
        return found
    wrapper = directory / "crun-on-hybrid"
    wrapper.write_text(CRUN_ON_HYBRID)
    wrapper.chmod(0o755)
    return str(wrapper)


def missing_capabilities() -> bool:
    """Whether this machine's root has not got every right that the kernel knows."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    bounding = re.search(r"CapBnd:\s*(\w+)", Path("/proc/self/status").read_text())
    assert bounding is not None
    return int(bounding[1], 16) != (1 << last + 1) - 1
