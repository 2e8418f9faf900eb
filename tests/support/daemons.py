"""Daemons under test, each in a box and a temporary root of its own.

Daemon            how a test talks to one: the real docker CLI, the docker SDK, raw HTTP
├── Wherryd       ours, started from the environment that runs the tests
└── Dockerd       the reference, with its own containerd: proves the tests before they judge us
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import docker

from support import http, leaks
from support.box import Box
from support.commands import eventually, find, search_path

GATEWAY = "172.29.5.1"
SPARE_NAMESPACES = 2
GRACE = 20.0  # seconds for an orderly stop

D = TypeVar("D", bound="Daemon")


class Daemon:
    """One daemon: its process, its root, its box, and the clients bound to its socket."""

    kind = ""

    def __init__(self, *, extra: tuple[str, ...] = ()) -> None:
        # Short, because unix socket paths end at 108 bytes; and the bridge's name at 15.
        self.name = f"wt{secrets.token_hex(3)}"
        self.root = tempfile.mkdtemp(prefix=f"{self.name}-")
        self.data_root = f"{self.root}/data"
        self.exec_root = f"{self.root}/exec"
        self.socket = f"{self.root}/docker.sock"
        self.host = f"unix://{self.socket}"
        self.log = Path(self.root, "daemon.log")
        self.extra = extra
        self.process: subprocess.Popen[bytes] | None = None
        self.box = Box(self.name)
        Path(self.root, "config").mkdir()

    # --- the process

    def argv(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers a ping."""
        environ = {**os.environ, "PATH": search_path(), leaks.MARK: self.name}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.box.argv(*self.argv(), *self.extra),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )
        eventually("the daemon answers a ping", self._answers, within=30)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} exited {self.process.returncode} at start:\n{self.tail()}")
        try:
            return http.call(self.socket, "GET", "/_ping", timeout=5).status == 200
        except OSError:
            return False

    def tail(self, size: int = 4000) -> str:
        """The end of the daemon's own log."""
        return self.log.read_text(errors="replace")[-size:]

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill9(self) -> None:
        """SIGKILL the daemon itself and nothing else."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"{self.kind} did not stop within {GRACE} s:\n{self.tail()}") from None
        self.process = None
        return code

    def restart(self) -> None:
        """An orderly stop and a new start on the same roots."""
        self.stop()
        self.start()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # --- the clients

    def docker_argv(self, *args: str) -> list[str]:
        program = find("docker")
        assert program is not None, "no docker CLI here: run tools/reference"
        return [program, *args]

    def docker_env(self, **more: str) -> dict[str, str]:
        return {
            "PATH": search_path(),
            "HOME": self.root,
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": f"{self.root}/config",
            "DOCKER_CLI_HINTS": "false",
            "TERM": "xterm",
            **more,
        }

    def docker(
        self,
        *args: str,
        check: bool = True,
        input: str | bytes | None = None,  # noqa: A002  subprocess.run calls it so
        timeout: float = 30,
    ) -> subprocess.CompletedProcess[str]:
        """Run the real docker CLI against this daemon. With ``check``, a failure fails the test in the CLI's words."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            self.docker_argv(*args),
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            env=self.docker_env(),
            check=False,
        )
        result = subprocess.CompletedProcess(
            args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and result.returncode != 0:
            raise AssertionError(f"docker {' '.join(args)} exited {result.returncode}: {result.stderr}{result.stdout}")
        return result

    def out(self, *args: str, **options: Any) -> str:
        """What a docker command that must succeed prints, without the last newline."""
        return self.docker(*args, **options).stdout.removesuffix("\n")

    def spawn(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        """A docker command left running, its streams as pipes."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            self.docker_argv(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.docker_env(), **options
        )

    def api(self, method: str, url: str, body: Any = None, **options: Any) -> http.Answer:
        """One request of the Engine API."""
        return http.call(self.socket, method, url, body, **options)

    def hijack(self, url: str, body: Any = None, **options: Any) -> http.Hijacked:
        return http.Hijacked(self.socket, url, body, **options)

    def sdk(self, **options: Any) -> docker.DockerClient:
        """The docker SDK for Python; close it when done."""
        return docker.DockerClient(base_url=self.host, timeout=30, **options)

    def inspect(self, name: str) -> dict[str, Any]:
        """A container as the API shows it."""
        answer = self.api("GET", f"/containers/{name}/json")
        assert answer.status == 200, answer.body
        return answer.json()

    def state(self, name: str) -> str:
        return self.inspect(name)["State"]["Status"]

    # --- what is left

    def clear(self) -> None:
        """Remove every container, network of ours and volume, so that the next test finds an empty daemon."""
        for item in self.api("GET", "/containers/json?all=1").json():
            self.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
        for item in self.api("GET", "/networks").json():
            if item["Name"] not in {"bridge", "host", "none"}:
                self.api("DELETE", f"/networks/{item['Id']}")
        for item in self.api("GET", "/volumes").json()["Volumes"] or []:
            self.api("DELETE", f"/volumes/{item['Name']}?force=1")

    def clear_images(self) -> None:
        """Remove every image but busybox:latest."""
        for item in self.api("GET", "/images/json").json():
            for tag in item["RepoTags"] or ["<none>:<none>"]:
                if tag != "busybox:latest":
                    self.api("DELETE", f"/images/{item['Id'] if tag == '<none>:<none>' else tag}?force=1")

    def standing_links(self) -> set[str]:
        """The links that a daemon with no container has."""
        raise NotImplementedError

    def litter(self) -> list[str]:
        """What an idle daemon, all containers removed, should not have: asked between tests."""
        return [
            *(f"link {name}" for name in self.box.links() if name not in self.standing_links()),
            *(f"cgroup {path}" for path in leaks.container_cgroups(self.name)),
            *(f"mount {point}" for point in self.mounts()),
        ]

    def mounts(self) -> list[str]:
        """Mounts under the roots, but for those that an idle daemon keeps."""
        return [point for point in leaks.mounts(self.name, self.root) if not self._standing_mount(point)]

    def _standing_mount(self, point: str) -> bool:
        return point in {self.data_root, f"{self.exec_root}/netns"} or point.endswith("/netns/default")

    def leftovers(self) -> list[str]:
        """What the stopped daemon left on the machine."""
        return leaks.leftovers(self.name, self.root, self.box)

    def settled(self, search: Callable[[], list[str]], *, within: float = 3) -> list[str]:
        """What is still left after a moment: the kernel takes a dead namespace's links away in its own time."""
        deadline = time.monotonic() + within
        while (left := search()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def discard(self) -> None:
        """Take away whatever is left, by force: for the end of a test, after it has looked."""
        if self.running:
            self.kill9()
        for line in leaks.processes(self.name, self.root):
            _kill(int(line.split()[0]))
        for point in reversed(leaks.mounts(self.name, self.root)):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        for top in leaks.cgroups(self.name):
            for folder, _, _ in sorted(os.walk(top), reverse=True):
                _rmdir(folder)
        self.box.remove()
        shutil.rmtree(self.root, ignore_errors=True)


@contextmanager
def standing(daemon: D, busybox_tar: bytes) -> Iterator[D]:
    """``daemon`` started, busybox loaded; at the end it is emptied, stopped, and must leave nothing on the machine."""
    try:
        daemon.start()
        daemon.docker("load", input=busybox_tar)
        yield daemon
        daemon.clear()
        daemon.stop()
        left = daemon.settled(daemon.leftovers)
    finally:
        daemon.discard()
    assert not left, "left on the machine after the daemon stopped:\n" + "\n".join(left)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 2
    while os.path.exists(f"/proc/{pid}/ns/mnt") and time.monotonic() < deadline:
        time.sleep(0.01)


def _rmdir(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:  # it is looked for again by the next search, and named there
        return


def wherryd_program() -> str:
    """The one under test."""
    return os.environ.get("WHERRY_TEST_WHERRYD") or str(Path(sys.executable).with_name("wherryd"))


class Wherryd(Daemon):
    """Ours."""

    kind = "wherryd"

    def argv(self) -> list[str]:
        return [
            wherryd_program(),
            *("--host", self.host),
            *("--data-root", self.data_root),
            *("--exec-root", self.exec_root),
            *("--pidfile", f"{self.root}/wherryd.pid"),
            *("--name", self.name),
            *("--bip", f"{GATEWAY}/24"),
        ]

    def standing_links(self) -> set[str]:
        return {f"{self.name}0"}

    def mounts(self) -> list[str]:
        """It keeps up to two network namespaces in stock for the next starts; more than those are left over."""
        # Beside a network namespace in a user namespace of its own that one is mounted too, see --userns-remap.
        points = [point for point in super().mounts() if not point.endswith(".user")]
        namespaces = [point for point in points if point.startswith(f"{self.exec_root}/netns/")]
        others = [point for point in points if point not in namespaces]
        return others + namespaces[SPARE_NAMESPACES:]


class Dockerd(Daemon):
    """The reference, with live restore so that the recovery tests can be proven on it.

    Its containerd is started beside it rather than by it: as its child it would share the daemon's SIGKILL.
    """

    kind = "dockerd"

    def __init__(self, *, extra: tuple[str, ...] = ()) -> None:
        super().__init__(extra=extra)
        self.containerd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.containerd is None:
            self._start_containerd()
        super().start()

    def _start_containerd(self) -> None:
        program = find("containerd")
        assert program is not None, "no containerd here: run tools/reference"
        config = Path(self.root, "containerd.toml")
        config.write_text('disabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        with self.log.open("ab") as log:
            self.containerd = subprocess.Popen(
                self.box.argv(
                    *(program, "--config", str(config), "--address", f"{self.root}/containerd.sock"),
                    *("--root", f"{self.root}/containerd", "--state", f"{self.root}/containerd-state"),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": search_path(), leaks.MARK: self.name},
                start_new_session=True,
            )
        eventually("containerd listens", lambda: os.path.exists(f"{self.root}/containerd.sock"), within=20)

    def stop(self) -> int:
        code = super().stop()
        if self.containerd is not None:
            self.containerd.terminate()
            self.containerd.wait(GRACE)
            self.containerd = None
        return code

    def discard(self) -> None:
        super().discard()
        if self.containerd is not None:
            self.containerd.kill()
            self.containerd.wait()

    def argv(self) -> list[str]:
        program = find("dockerd")
        assert program is not None, "no dockerd here: run tools/reference"
        return [
            program,
            *("--host", self.host),
            *("--data-root", self.data_root),
            *("--exec-root", self.exec_root),
            *("--pidfile", f"{self.root}/dockerd.pid"),
            *("--cgroup-parent", f"/{self.name}"),
            *("--bip", f"{GATEWAY}/24"),
            *("--containerd", f"{self.root}/containerd.sock"),
            "--live-restore",
        ]

    def standing_links(self) -> set[str]:
        return {"docker0"}

    def leftovers(self) -> list[str]:
        """It keeps its bridge, its iptables chains and its cgroup when it stops: not counted against it."""
        kept = ("link docker0", "nft ", "cgroup ", f"mount {self.exec_root}/netns/default", f"mount {self.data_root}")
        return [line for line in super().leftovers() if not line.startswith(kept)]


def reference_missing() -> str | None:
    """Why there is no reference to compare with, or None."""
    for program in ("dockerd", "containerd", "runc", "iptables"):
        if find(program) is None:
            return f"{program} is not on this machine: run tools/reference"
    return None
