"""wherryd with a runtime that is not its own: what goes wrong there, and what outlives the daemon or a shim."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, leaks
from support.commands import eventually, find
from support.daemons import Daemon, Wherryd, wherryd_program

pytestmark = pytest.mark.slow

FAILING_AT_START = """#!/bin/sh
for word in "$@"; do
    if [ "$word" = start ]; then
        while [ "$1" != --log ]; do shift; done
        echo '{"level":"error","msg":"no starting today"}' >> "$2"
        exit 1
    fi
done
exec runc "$@"
"""


@pytest.fixture(scope="module")
def runc() -> str:
    found = find("runc")
    if found is None:
        pytest.skip("runc is not on this machine: tools/packages installs it")
    return found


@pytest.fixture
def make_daemon() -> Iterator[Callable[..., Daemon]]:
    """Daemons with flags of the test's own, emptied and stopped at the end; each must leave nothing."""
    made: list[Daemon] = []
    left: list[str] = []

    def make(*extra: str) -> Daemon:
        daemon = Wherryd(extra=extra)
        made.append(daemon)
        daemon.start()
        daemon.docker("load", input=images.docker_archive(["busybox:latest"], [images.busybox_layer()]))
        return daemon

    try:
        yield make
        for daemon in made:
            daemon.clear()
            left += daemon.settled(daemon.litter)
            daemon.stop()
            left += daemon.settled(daemon.leftovers)
    finally:
        for daemon in made:
            daemon.discard()
    assert not left, "left on the machine:\n" + "\n".join(left)


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def runtime_knows(daemon: Daemon, name: str) -> list[str]:
    """The containers in a runtime's own state."""
    root = Path(daemon.exec_root, "runtimes", name)
    return sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []


def test_runtimes_are_shown_and_chosen(make_daemon: Callable[..., Daemon], runc: str, tmp_path: Path) -> None:
    """In docker info, in inspect; one by default; arguments of the settings are passed on; unknown ones are refused."""
    said = tmp_path / "said"
    mine = script(tmp_path / "mine", f'#!/bin/sh\necho "$1" >> {said}\nshift\nexec {runc} "$@"\n')
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({"runtimes": {"mine": {"path": mine, "runtimeArgs": ["--mine"]}}}))
    daemon = make_daemon("--config-file", str(settings), "--add-runtime", f"runc={runc}", "--default-runtime", "mine")
    info = daemon.api("GET", "/info").json()
    assert info["DefaultRuntime"] == "mine"
    assert info["Runtimes"]["mine"] == {"path": mine, "runtimeArgs": ["--mine"]}
    assert info["Runtimes"]["runc"] == {"path": runc}
    assert "wherry" in info["Runtimes"]
    assert daemon.out("run", "--name", "first", "busybox", "echo", "hello") == "hello"
    assert daemon.inspect("first")["HostConfig"]["Runtime"] == "mine"
    assert set(said.read_text().split()) == {"--mine"}
    assert daemon.out("run", "--rm", "--runtime", "wherry", "busybox", "echo", "hello") == "hello"
    refused = daemon.docker("run", "--runtime", "foo", "busybox", "true", check=False)
    assert refused.returncode == 125
    assert "Error response from daemon: unknown or invalid runtime name: foo\n" in refused.stderr


def test_a_default_runtime_that_does_not_exist(tmp_path: Path) -> None:
    """The daemon does not start, in dockerd's words."""
    done = subprocess.run(
        [wherryd_program(), "--data-root", f"{tmp_path}/d", "--exec-root", f"{tmp_path}/e", "--default-runtime", "foo"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "specified default runtime 'foo' does not exist" in done.stderr


def test_what_a_runtime_says_of_a_failure(make_daemon: Callable[..., Daemon], runc: str, tmp_path: Path) -> None:
    """As Docker shows it; and nothing of the container is left but its record, which can be removed."""
    broken = script(tmp_path / "broken", FAILING_AT_START.replace("exec runc", f"exec {runc}"))
    daemon = make_daemon(
        *("--add-runtime", "gone=/no/such/runtime", "--add-runtime", "false=/bin/false"),
        *("--add-runtime", f"broken={broken}"),
    )
    for runtime, words in {
        "gone": ": fork/exec /no/such/runtime: no such file or directory: unknown",
        "false": "): /bin/false did not terminate successfully: exit status 1: unknown",
        "broken": "OCI runtime start failed: no starting today: unknown",
    }.items():
        done = daemon.docker("run", "--name", runtime, "--runtime", runtime, "busybox", "sleep", "60", check=False)
        assert done.returncode != 0
        assert words in done.stderr
        assert daemon.inspect(runtime)["State"]["Status"] == "created"
        assert words in daemon.inspect(runtime)["State"]["Error"]
        assert runtime_knows(daemon, runtime) == []
    assert leaks.container_cgroups(daemon.name) == []


def test_an_init_that_is_not_there(make_daemon: Callable[..., Daemon], runc: str) -> None:
    """With --init another runtime needs Docker's init program, or says so."""
    daemon = make_daemon("--add-runtime", f"runc={runc}")
    done = daemon.docker("run", "--rm", "--init", "--runtime", "runc", "busybox", "cat", "/proc/1/comm", check=False)
    if find("docker-init") or find("tini-static"):
        assert done.stdout == "docker-init\n"
    else:
        assert 'exec: "docker-init": executable file not found in $PATH' in done.stderr


def test_containers_outlive_the_daemon(make_daemon: Callable[..., Daemon], runc: str) -> None:
    """Killed and started again, the daemon knows them, and can do with them what it could before."""
    daemon = make_daemon("--add-runtime", f"runc={runc}")
    loop = 'trap "exit 3" TERM; while :; do sleep 0.1; done'
    daemon.out("run", "-d", "--name", "box", "--runtime", "runc", "busybox", "sh", "-c", loop)
    daemon.out("run", "-d", "--name", "brief", "--runtime", "runc", "busybox", "sh", "-c", "sleep 1; exit 4")
    daemon.kill9()
    eventually("the brief one ends", lambda: len(runtime_knows(daemon, "runc")) == 1, within=20)
    daemon.start()
    assert daemon.inspect("brief")["State"]["ExitCode"] == 4
    assert daemon.state("box") == "running"
    assert daemon.out("exec", "box", "cat", "/proc/1/comm") == "sh"
    daemon.out("pause", "box")
    assert daemon.state("box") == "paused"
    daemon.out("unpause", "box")
    daemon.out("stop", "box")
    assert daemon.inspect("box")["State"]["ExitCode"] == 3


def test_a_shim_that_is_killed(make_daemon: Callable[..., Daemon], runc: str) -> None:
    """Its container is ended, forgotten by the runtime too, and can be started again."""
    daemon = make_daemon("--add-runtime", f"runc={runc}")
    daemon.out("run", "-d", "--name", "box", "--runtime", "runc", "busybox", "sleep", "1000")
    identity = daemon.inspect("box")["Id"]
    pid = daemon.inspect("box")["State"]["Pid"]
    shim = json.loads(Path(daemon.exec_root, "containers", identity, "shim.json").read_text())["shim_pid"]
    assert runtime_knows(daemon, "runc") == [identity]
    os.kill(shim, signal.SIGKILL)
    eventually("the end is known", lambda: daemon.state("box") == "exited", within=15)
    assert daemon.inspect("box")["State"]["ExitCode"] == 137
    assert not os.path.exists(f"/proc/{pid}/root/bin"), "its first process still runs"
    assert runtime_knows(daemon, "runc") == []
    daemon.out("start", "box")
    assert daemon.state("box") == "running"


def test_no_mount_reaches_the_host(make_daemon: Callable[..., Daemon], runc: str) -> None:
    """The container's root is mounted where the runtime alone sees it; the shim holds no copy of the host's mounts."""
    daemon = make_daemon("--add-runtime", f"runc={runc}")
    daemon.out("run", "-d", "--name", "box", "--runtime", "runc", "busybox", "sleep", "1000")
    identity = daemon.inspect("box")["Id"]
    assert [point for point in daemon.mounts() if identity in point] == []
    shim = json.loads(Path(daemon.exec_root, "containers", identity, "shim.json").read_text())["shim_pid"]
    assert os.readlink(f"/proc/{shim}/ns/mnt") == os.readlink(f"/proc/{daemon.pid}/ns/mnt")


def test_hostile_user_files(make_daemon: Callable[..., Daemon], runc: str) -> None:
    """A passwd that is a FIFO, or a link to the host's, is found out before any runtime looks at it (S6)."""
    daemon = make_daemon("--add-runtime", f"runc={runc}")
    layer = images.busybox_layer()
    for name, change in {
        "fifo": lambda tar: tar.add("etc/passwd", kind=b"6"),
        "link": lambda tar: tar.link("etc/passwd", "../../../../../../etc/passwd-of-the-host"),
    }.items():
        tar = images.Tar()
        change(tar)
        daemon.docker("load", input=images.docker_archive([f"{name}:latest"], [layer, tar.bytes()]))
        done = daemon.docker("run", "--rm", "--runtime", "runc", "-u", "daemon", name, "id", check=False, timeout=20)
        assert done.returncode == 125
        assert "unable to find user" in done.stderr
