"""A laboratory for the runtime: a busybox root of our own, requests for it, and a look at what is left afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from wherry.runtime.launcher import Launcher, Shim
from wherry.runtime.model import ExecRequest, ExitStatus, JsonLog, LaunchRequest, OverlayRoot, Stdio

BUSYBOX = Path("/bin/busybox")
CAPABILITIES = [
    *(
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
    ),
    *("CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"),
]
SETS = {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES}
ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
MOUNTS = [
    ("/proc", "proc", "nosuid,noexec,nodev"),
    ("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    ("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
    ("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k"),
]
MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


class Lab:
    """Where one test's containers live."""

    def __init__(self, directory: Path, image: Path) -> None:
        self.directory = directory
        self.image = image
        self.cgroup_parent = f"/wherry-test-{os.getpid()}"

    def spec(self, name: str, args: list[str], *, tty: bool = False) -> dict[str, Any]:
        """config.json as Docker would have it."""
        return {
            "ociVersion": "1.2.0",
            "process": {
                "terminal": tty,
                "args": args,
                "env": list(ENVIRONMENT),
                "cwd": "/",
                "capabilities": dict(SETS),
            },
            "root": {"path": "rootfs"},
            "hostname": "lab",
            "mounts": [
                {"destination": target, "type": kind, "source": kind, "options": options.split(",")}
                for target, kind, options in MOUNTS
            ],
            "linux": {
                "cgroupsPath": f"{self.cgroup_parent}/{name}",
                "namespaces": [{"type": kind} for kind in ("mount", "pid", "uts", "ipc", "cgroup", "network")],
                "resources": {"pids": {"limit": 200}},
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
            },
        }

    def request(
        self,
        *args: str,
        name: str = "c",
        tty: bool = False,
        stdin: bool = False,
        edit: Callable[[dict[str, Any]], None] = lambda _: None,
        **further: Any,
    ) -> LaunchRequest:
        """A launch of ``args``; ``edit`` may change the spec."""
        home = self.directory / name
        for part in ("upper", "work"):
            (home / part).mkdir(parents=True, exist_ok=True)
        spec = self.spec(name, list(args), tty=tty)
        edit(spec)
        log = further.pop("log", JsonLog(path=str(home / "log"), max_size=-1, max_files=1))
        return LaunchRequest(
            id=name,
            bundle=home / "bundle",
            spec=spec,
            root=OverlayRoot(lower=(str(self.image),), upper=str(home / "upper"), work=str(home / "work")),
            stdio=Stdio(tty=tty, stdin=stdin, height=24, width=80),
            log=log,
            **further,
        )

    def exec_request(
        self,
        shim: Shim,
        *args: str,
        name: str = "e",
        tty: bool = False,
        stdin: bool = False,
        cwd: str = "/",
        **further: Any,
    ) -> ExecRequest:
        """An exec of ``args`` in ``shim``'s container."""
        return ExecRequest(
            id=name,
            bundle=self.directory / "execs" / name,
            container_pid=shim.pid,
            container_bundle=shim.bundle,
            process={"args": list(args), "env": list(ENVIRONMENT), "cwd": cwd, "capabilities": dict(SETS)},
            stdio=Stdio(tty=tty, stdin=stdin, height=24, width=80),
            **further,
        )


class Output:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.streams: dict[int, bytes] = {1: b"", 2: b""}
        self.grown = asyncio.Event()

    async def __call__(self, stream: int, data: bytes) -> None:
        self.streams[stream] += data
        self.grown.set()

    async def until(self, text: bytes, *, timeout: float = 10) -> None:
        """Wait for ``text`` on stdout."""
        async with asyncio.timeout(timeout):
            while text not in self.streams[1]:
                self.grown.clear()
                await self.grown.wait()


@asynccontextmanager
async def launcher() -> AsyncIterator[Launcher]:
    one = Launcher()
    await one.start()
    try:
        yield one
    finally:
        await one.close()


async def finish(shim: Shim, *, timeout: float = 20) -> tuple[ExitStatus, bytes, bytes]:
    """Exit status, stdout, stderr of a program that was started with ``attach``."""
    output = Output()
    await shim.subscribe(output)
    async with asyncio.timeout(timeout):
        status = await shim.wait()
    return status, output.streams[1], output.streams[2]


def play(work: Coroutine[Any, Any, None], *, timeout: float = 60) -> None:
    """Run a test's coroutine on the daemon's own kind of loop."""

    async def bounded() -> None:
        async with asyncio.timeout(timeout):
            await work

    uvloop.run(bounded())


def exists(path: object) -> bool:
    return os.path.exists(str(path))


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)


def processes_of(directory: Path) -> list[int]:
    """Shims and programs that have something open or run below ``directory``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                links = [os.readlink(link) for link in [entry / "root", *(entry / "fd").iterdir()]]
            except OSError:
                continue
            if any(link.startswith(str(directory)) for link in links) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found
