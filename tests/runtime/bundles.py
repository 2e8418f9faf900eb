"""Bundles on disk for the root's tests, and the runtime that runs them."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUNTIME = os.environ.get("WHERRY_TEST_RUNTIME", "")
"""Another runtime's command, to see that a test says what runc does: empty for ours."""
_HERE = Path(__file__).parent
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(_HERE.parents[1] / "src")}

CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_ADMIN", "NET_RAW", "SETFCAP", "SETGID"),
        *("SETPCAP", "SETUID", "SYS_ADMIN", "SYS_CHROOT"),
    )
]
NAMESPACES = ("mount", "pid", "uts", "ipc", "cgroup", "network")
PROC = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}
DEV = {
    "destination": "/dev",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
}
PTS = {
    "destination": "/dev/pts",
    "type": "devpts",
    "source": "devpts",
    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}


def mount(destination: str, kind: str, source: object, *options: str, **further: Any) -> dict[str, Any]:
    """An entry of ``mounts``."""
    return {"destination": destination, "type": kind, "source": str(source), "options": list(options), **further}


def mapping(inside: int, outside: int, size: int) -> list[dict[str, int]]:
    """One line of a map."""
    return [{"containerID": inside, "hostID": outside, "size": size}]


@dataclass
class Done:
    """How it went."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def ok(self) -> Done:
        assert self.code == 0, self
        return self

    def failed(self, text: str) -> None:
        """It was refused before the program ran, and ``text`` says why."""
        assert self.code == 1, self
        assert text in self.err.replace('\\"', '"'), self
        assert self.out == ""


@dataclass
class Bundle:
    """A root directory of busybox and a config.json that is written when it runs."""

    directory: Path
    name: str
    mounts: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy([PROC, DEV, PTS, SYS]))
    namespaces: list[dict[str, str]] = field(default_factory=lambda: [{"type": kind} for kind in NAMESPACES])
    linux: dict[str, Any] = field(default_factory=dict)
    root: dict[str, Any] = field(default_factory=dict)
    terminal: bool = False

    @property
    def rootfs(self) -> Path:
        return self.directory / "rootfs"

    def without(self, *targets: str) -> None:
        """Leave out the default mounts at ``targets``."""
        self.mounts = [entry for entry in self.mounts if entry["destination"] not in targets]

    def add(self, *entries: dict[str, Any]) -> None:
        self.mounts += entries

    def in_user_namespace(self, first: int = 100_000, size: int = 65_536) -> None:
        """Ids of the container are the host's from ``first`` on; the root file system belongs to its root."""
        self.namespaces.append({"type": "user"})
        self.linux |= {"uidMappings": mapping(0, first, size), "gidMappings": mapping(0, first, size)}
        for path in [self.rootfs, *self.rootfs.rglob("*")]:
            os.chown(path, first, first, follow_symlinks=False)
        for parent in self.directory.parents:
            if parent.stat().st_mode & 0o077 == 0:
                parent.chmod(0o711)
        self.directory.chmod(0o755)

    def run(self, script: str, *options: str, timeout: float = 20) -> Done:
        """Run ``script`` by the container's shell."""
        self.write(script)
        command = RUNTIME.split() if RUNTIME else [sys.executable, str(_HERE / "run_bundle.py")]
        if RUNTIME:
            command += ["run", *options, "--bundle", str(self.directory), self.name]
        else:
            command += [str(self.directory), self.name, *options]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )
        return Done(done.returncode, done.stdout.replace("\r\n", "\n"), done.stderr)

    def write(self, script: str) -> None:
        """config.json."""
        sets = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
        spec = {
            "ociVersion": "1.2.0",
            "process": {
                "terminal": self.terminal,
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/sh", "-c", script],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": "/",
                "capabilities": sets,
            },
            "root": {"path": "rootfs", **self.root},
            "hostname": "bundle",
            "mounts": self.mounts,
            "linux": {"namespaces": self.namespaces, **self.linux},
        }
        (self.directory / "config.json").write_text(json.dumps(spec))


def fields(lines: Iterable[str], target: str) -> list[str]:
    """The options of the last mount at ``target``, out of /proc/mounts."""
    found = [line.split()[3].split(",") for line in lines if line.split()[1:2] == [target]]
    assert found, f"nothing is mounted at {target}"
    return found[-1]
