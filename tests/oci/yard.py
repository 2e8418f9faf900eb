"""A yard for one test of ``wherry-oci``: a state root, bundles of busybox, the runtime as engines call it."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.commands import PROJECT, find
from support.images import busybox_root

BUSYBOX = Path("/bin/busybox")
OURS = PROJECT / ".venv" / "bin" / "wherry-oci"
TIMEOUT = 30
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount")

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "noNewPrivileges": True,
        "capabilities": {name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "yard",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
    ],
    "linux": {"namespaces": [{"type": kind} for kind in _NAMESPACES]},
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """What the one line on stderr says, as logrus writes it."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"not one line: {self.err!r}"
        found = re.fullmatch(r'time="[^"]+" level=error msg=(.*)', lines[0])
        assert found, lines[0]
        said = found.group(1)
        return json.loads(said) if said.startswith('"') else said


class Oci:
    """A runtime's program with a state root of its own."""

    def __init__(self, program: str | Path, root: Path) -> None:
        self.program = str(program)
        self.root = root
        self.options: list[str] = []

    def argv(self, *words: str | Path) -> list[str]:
        return [self.program, "--root", str(self.root), *self.options, *map(str, words)]

    def __call__(self, *words: str | Path, input: str | None = None, **further: Any) -> Outcome:  # noqa: A002
        """Run a command that holds nobody's output, or does so in the foreground."""
        stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        given = {**stdin, **further}
        done = subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=TIMEOUT, check=False, **given)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def quiet(self, *words: str | Path, **further: Any) -> Outcome:
        """As a call, for what leaves a process behind that would hold a pipe: its output is lost, errors are not."""
        errors = self.root.parent / f"errors-{uuid.uuid4().hex[:8]}"
        with errors.open("wb") as file:
            done = subprocess.run(
                self.argv(*words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                timeout=TIMEOUT,
                check=False,
                **further,
            )
        return Outcome(done.returncode, "", errors.read_text())

    def ok(self, *words: str | Path, **further: Any) -> str:
        """A command that must succeed: what it prints."""
        done = self(*words, **further)
        assert done.code == 0, done.err
        return done.out

    def create(self, bundle: Path, name: str = "box", *words: str) -> None:
        done = self.quiet("create", "--bundle", bundle, *words, name)
        assert done.code == 0, done.err

    def run(self, bundle: Path, name: str = "box", *words: str) -> None:
        """In the background."""
        done = self.quiet("run", "--detach", "--bundle", bundle, *words, name)
        assert done.code == 0, done.err

    def state(self, name: str = "box") -> dict[str, Any]:
        return json.loads(self.ok("state", name))

    def wait_for(self, status: str, name: str = "box") -> None:
        deadline = time.monotonic() + 10
        while (now := self.state(name)["status"]) != status:
            assert time.monotonic() < deadline, f"{name} is {now}, never {status}"
            time.sleep(0.02)


class Yard:
    """The directory of one test."""

    def __init__(self, path: Path, rootfs: Path) -> None:
        self.path = path
        self.rootfs = rootfs
        self.cgroup = f"/wherry-yard-{uuid.uuid4().hex[:8]}"
        self.runtimes: list[Oci] = []

    def runtime(self, program: str | Path = OURS, name: str = "state") -> Oci:
        one = Oci(program, self.path / name)
        self.runtimes.append(one)
        return one

    def config(self, *args: str, **process: Any) -> dict[str, Any]:
        """A configuration to change; ``args`` is the program."""
        config = copy.deepcopy(CONFIG)
        config["process"]["args"] = list(args) or ["true"]
        config["process"].update(process)
        config["root"]["path"] = str(self.rootfs)
        config["linux"]["cgroupsPath"] = f"{self.cgroup}/{uuid.uuid4().hex[:8]}"
        return config

    def bundle(self, config: dict[str, Any] | str | None, name: str = "bundle") -> Path:
        """A bundle with this config.json, whatever it says; without one for None."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        (path / "config.json").unlink(missing_ok=True)
        if config is not None:
            (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        return path

    def leftovers(self) -> list[str]:
        """What is still there of anything that was made in this yard."""
        left = [f"state of {entry}" for one in self.runtimes for entry in one.root.glob("[!.]*")]
        left += [f"cgroup {group}" for group in self.groups()]
        left += [
            f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.path) in line
        ]
        return left + [f"process {pid}" for pid in self.processes()]

    def groups(self) -> list[Path]:
        """The control groups of containers, in every hierarchy."""
        return [group for top in self._tops() for group in top.iterdir() if group.is_dir()]

    def _tops(self) -> list[Path]:
        mounts = Path("/sys/fs/cgroup")
        return [top for place in (mounts, *mounts.iterdir()) if (top := Path(f"{place}{self.cgroup}")).is_dir()]

    def processes(self) -> list[int]:
        """Those that work with this yard's files."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
                root = (entry / "root").readlink()
            except (OSError, ValueError):
                continue
            if str(self.path).encode() in words or str(self.rootfs) in str(root):
                found.append(int(entry.name))
        return found

    def clear(self) -> None:
        """End what a failed test has left."""
        for one in self.runtimes:
            for entry in one.root.glob("[!.]*"):
                one("delete", "--force", entry.name)
        for top in self._tops():
            for group in (*filter(Path.is_dir, top.iterdir()), top):
                group.rmdir()


def make_rootfs(path: Path) -> Path:
    """A root directory of busybox and two users."""
    busybox_root(path, "dev", "etc", "proc", "root", "sys", "tmp")
    (path / "tmp").chmod(0o1777)
    (path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    (path / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
    (path / "etc/plain").write_text("not executable\n")
    return path


def runc() -> str | None:
    """Where the reference is."""
    return find("runc")
