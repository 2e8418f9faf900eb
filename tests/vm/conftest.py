"""The lane in the guest: what a stock kernel has and a development machine may lack. Run by ``make test-vm``.

    tools/vm pytest tests/vm/test_limits.py -k memory       the plain guest: our tests are its process 1's only child
    tools/vm --systemd pytest tests/vm                      the guest whose process 1 is systemd: marker ``systemd``

Each of the two runs what is meant for it; elsewhere everything here is skipped. How to add to it:

* A file ``test_<what>.py`` whose tests say the promise. Tests of the systemd driver carry ``@pytest.mark.systemd``.
* Short tests: a new process costs ten times what it costs outside, an ``import wherry.daemon`` several seconds. Prefer
  calls of the library (the fixture ``cgroups``), then ``wherry-oci`` on a ``bundle``, then a daemon.
* ``group`` is a fresh control group, removed afterwards, and ``inside`` starts programs in one; ``bundle`` makes an OCI
  bundle of busybox, ``oci`` runs wherry-oci.
* pytest's ``tmp_path`` is on a tmpfs and good for overlays. ``DISK`` is an ext4 on a block device, for limits of I/O.
* A limit is tested twice: the kernel's file reads as it should, and a program feels it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import run
from wherry.linux.cgroups import Cgroups, open_hierarchy

MODE = os.environ.get("WHERRY_VM")  # plain, systemd; set by tools/vm
DISK = Path("/run/disk")
TREE = Path("/sys/fs/cgroup")
BUSYBOX = Path("/bin/busybox")
TIMEOUT = 240  # seconds for one test: emulation is slow, and the machine below may be busy
MOUNTS = [
    ("/proc", "proc", ["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/shm", "tmpfs", ["nosuid", "noexec", "nodev", "mode=1777"]),
    ("/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
]


def pytest_report_header() -> list[str]:
    """What the tests ran on, so that the log says what it proves."""
    if MODE is None:
        return []
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    first = Path("/proc/1/comm").read_text().strip()
    return [
        f"guest: Linux {os.uname().release}, process 1 is {first}, {os.cpu_count()} CPUs",
        f"cgroup v2 controllers: {(TREE / 'cgroup.controllers').read_text().strip()}",
        f"security modules: {Path('/sys/kernel/security/lsm').read_text()}; capabilities: {status['CapEff']}",
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each guest runs its own tests; outside of them none runs."""
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    elsewhere = []
    for item in ours:
        item.add_marker(pytest.mark.vm)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))
        if MODE is None:
            item.add_marker(pytest.mark.skip(reason="runs in the guest: make test-vm"))
        elif (item.get_closest_marker("systemd") is not None) != (MODE == "systemd"):
            elsewhere.append(item)
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture(scope="session")
def cgroups() -> Cgroups:
    """The guest's control groups, by the backend that wherry chooses itself."""
    return open_hierarchy()


@pytest.fixture
def group(cgroups: Cgroups) -> Iterator[str]:
    """The path of a fresh control group two levels down."""
    parent = f"/wherry-test-{os.getpid()}"
    path = f"{parent}/g"
    cgroups.create(path)
    yield path
    cgroups.kill(parent)
    cgroups.remove(parent)
    assert not (TREE / parent[1:]).exists()


class Inside:
    """``inside(group, *argv)``: a program that waits on a pipe until it has been put into the group."""

    def __init__(self, cgroups: Cgroups) -> None:
        self.cgroups = cgroups
        self.programs: list[subprocess.Popen[str]] = []

    def __call__(self, group: str, *argv: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            ["/bin/busybox", "sh", "-c", 'read go; exec "$@"', "sh", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.programs.append(program)
        self.cgroups.attach(group, program.pid)
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.close()
        program.stdin = None
        return program

    def words(self, group: str, script: str) -> list[str]:
        """The lines that a shell script in the group says."""
        return self(group, "/bin/busybox", "sh", "-c", script).communicate(timeout=60)[0].splitlines()


@pytest.fixture
def inside(cgroups: Cgroups) -> Iterator[Inside]:
    """Programs in control groups; they end with the test."""
    one = Inside(cgroups)
    yield one
    for program in one.programs:
        program.kill()
        program.communicate(timeout=30)


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of busybox."""
    root = tmp_path_factory.mktemp("busybox")
    root.chmod(0o755)
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (root / name).mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in run("/bin/busybox", "--list").stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    return root


def config(*args: str, cgroup: str, capabilities: tuple[str, ...] = ("CAP_MKNOD", "CAP_CHOWN")) -> dict[str, Any]:
    """A config.json that runs ``args`` in a root of busybox."""
    return {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {name: list(capabilities) for name in ("bounding", "effective", "permitted")},
        },
        "root": {"path": "rootfs"},
        "hostname": "guest",
        "mounts": [{"destination": at, "type": kind, "source": kind, "options": how} for at, kind, how in MOUNTS],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "uts", "ipc", "cgroup", "network")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }


Bundle = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path: Path, busybox_root: Path) -> Bundle:
    """``bundle(*args, edit=…)``: a bundle that runs ``args``; all share one root, so write to its /tmp only."""

    def make(*args: str, edit: Callable[[dict[str, Any]], None] = lambda _: None, cgroup: str | None = None) -> Path:
        spec = config(*args, cgroup=cgroup or f"/wherry-oci-{os.getpid()}")
        spec["root"]["path"] = str(busybox_root)
        edit(spec)
        folder = tmp_path / "bundle"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(spec))
        return folder

    return make


class Oci:
    """``wherry-oci`` with a state directory of its own."""

    program = str(Path(sys.executable).with_name("wherry-oci"))

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *args: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return run(self.program, "--root", str(self.root), *args, check=check, timeout=timeout)

    def detached(self, *args: str, **options: Any) -> None:
        """A command that leaves a container running: its streams must not be our pipes."""
        words = self.root.with_name("words")
        with words.open("wb") as file:
            done = subprocess.run(
                [self.program, "--root", str(self.root), *args],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=60,
                check=False,
                **options,
            )
        assert done.returncode == 0, words.read_text()


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Oci]:
    """wherry-oci; what a test leaves running is removed."""
    one = Oci(tmp_path / "state")
    yield one
    if one.root.exists():
        for entry in one.root.iterdir():
            one("delete", "--force", entry.name, check=False)
