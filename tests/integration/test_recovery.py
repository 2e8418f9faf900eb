"""The daemon dies and comes back; the containers do not notice (Shows 4, R1-R3)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import leaks
from support.commands import eventually, search_path
from support.daemons import Daemon

COUNTER = "i=0; while :; do i=$((i+1)); echo $i; usleep 10000; done"


def started(daemon: Daemon, name: str, *cmd: str, options: tuple[str, ...] = ()) -> str:
    return daemon.out("run", "-d", "--name", name, *options, "busybox", *cmd)


def numbers(daemon: Daemon, name: str) -> list[int]:
    return [int(line) for line in daemon.docker("logs", name).stdout.split()]


def run_state(daemon: Daemon, name: str) -> tuple[str, int, int]:
    state = daemon.inspect(name)["State"]
    return state["Status"], state["ExitCode"], state["Pid"]


@pytest.mark.timeout(150)
def test_sigkill_under_twenty_containers(own_daemon: Daemon) -> None:
    """Twenty run, two print numbered lines, one is attached to, one exits meanwhile: nothing lost, the codes right."""
    daemon = own_daemon
    none = ("--network", "none")
    for number in range(2):
        started(daemon, f"counter{number}", "sh", "-c", COUNTER, options=none)
    started(daemon, "attached", "sh", "-c", COUNTER, options=none)
    started(daemon, "web", "httpd", "-f", "-p", "80", "-h", "/www", options=("-p", "8081:80"))
    for number in range(15):
        started(daemon, f"sleeper{number}", "sleep", "300", options=none if number % 5 else ())
    started(daemon, "meanwhile", "sh", "-c", "sleep 2; exit 42", options=none)
    attached = daemon.spawn("attach", "attached")
    pids = {
        item["Names"][0]: daemon.inspect(item["Id"])["State"]["Pid"]
        for item in daemon.api("GET", "/containers/json").json()
    }
    addresses = {name: daemon.inspect(name)["NetworkSettings"]["IPAddress"] for name in ("web", "sleeper0")}
    assert len(pids) == 20

    daemon.kill9()
    attached.communicate(timeout=10)
    if daemon.kind == "wherryd":  # the reference publishes through a process of the daemon's
        assert daemon.box.fetch("http://127.0.0.1:8081/") == "served from a container\n"
    time.sleep(3)
    assert all(os.path.exists(f"/proc/{pid}") for name, pid in pids.items() if name != "/meanwhile")
    daemon.start()

    assert run_state(daemon, "meanwhile") == ("exited", 42, 0)
    assert daemon.out("wait", "meanwhile") == "42"
    for name, pid in pids.items():
        if name != "/meanwhile":
            assert run_state(daemon, name[1:]) == ("running", 0, pid)
    for name in ("counter0", "counter1", "attached"):
        before = numbers(daemon, name)
        assert before == list(range(1, len(before) + 1)), f"{name} lost or repeated a line"
        assert len(before) > 150
        eventually("the log grows on", lambda name=name, before=before: len(numbers(daemon, name)) > len(before))
    assert {name: daemon.inspect(name)["NetworkSettings"]["IPAddress"] for name in addresses} == addresses
    assert daemon.box.fetch("http://127.0.0.1:8081/") == "served from a container\n"

    again = daemon.spawn("attach", "--sig-proxy=false", "attached")
    assert again.stdout is not None
    assert again.stdout.readline().strip().isdigit()
    again.kill()  # the CLI waits for the stream's end on anything gentler
    again.communicate()
    assert daemon.out("exec", "sleeper0", "echo", "in") == "in"
    daemon.docker("stop", "-t", "0", "sleeper1")
    assert run_state(daemon, "sleeper1") == ("exited", 137, 0)
    daemon.docker("rm", "-f", *[f"sleeper{number}" for number in range(15)])
    waiting = daemon.spawn("wait", "counter0")
    time.sleep(0.2)
    daemon.docker("kill", "-s", "TERM", "counter0")
    daemon.docker("kill", "counter0", check=False)
    assert waiting.communicate(timeout=10)[0].strip() in {b"143", b"137"}


def test_new_containers_do_not_collide_with_old_ones(own_daemon: Daemon) -> None:
    """R6, R7: after the restart addresses and ports of living containers are not given out again."""
    daemon = own_daemon
    started(daemon, "old", "sleep", "300", options=("-p", "8081:80"))
    taken = daemon.inspect("old")["NetworkSettings"]["IPAddress"]
    daemon.kill9()
    daemon.start()
    started(daemon, "new", "sleep", "300")
    assert daemon.inspect("new")["NetworkSettings"]["IPAddress"] != taken
    refused = daemon.docker("run", "-d", "-p", "8081:80", "busybox", "true", check=False)
    assert refused.returncode == 125
    assert "port is already allocated" in refused.stderr
    daemon.docker("rm", "-f", "old")
    daemon.docker("run", "--rm", "-p", "8081:80", "busybox", "true")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("no", "exited"), ("always", "running"), ("unless-stopped", "running"), ("on-failure", "running")],
)
def test_restart_policies_after_an_exit_meanwhile(own_daemon: Daemon, policy: str, expected: str) -> None:
    """R2: a program that fails while the daemon is away is started again by its policy when it comes back."""
    daemon = own_daemon
    script = "[ -e /second ] && exec sleep 300; touch /second; sleep 1; exit 3"
    started(daemon, "job", "sh", "-c", script, options=("--restart", policy, "--network", "none"))
    daemon.kill9()
    time.sleep(1.5)
    daemon.start()
    eventually(f"the job is {expected}", lambda: daemon.state("job") == expected)


def test_paused_and_stopped_stay_as_they_were(own_daemon: Daemon) -> None:
    """R2: paused stays paused and can go on; a container stopped by hand stays down whatever its policy."""
    daemon = own_daemon
    for name, policy in (("paused", "no"), ("stopped", "unless-stopped")):
        started(daemon, name, "sleep", "300", options=("--network", "none", "--restart", policy))
    daemon.docker("pause", "paused")
    daemon.docker("stop", "-t", "0", "stopped")
    daemon.kill9()
    daemon.start()
    assert (daemon.state("paused"), daemon.state("stopped")) == ("paused", "exited")
    daemon.docker("unpause", "paused")
    assert daemon.out("exec", "paused", "echo", "on") == "on"


def test_everything_is_still_known(own_daemon: Daemon) -> None:
    """Images, containers, networks, volumes and their settings survive a SIGKILL right after they were made."""
    daemon = own_daemon
    daemon.docker("network", "create", "--subnet", "10.77.1.0/24", "kept-net")
    daemon.docker("volume", "create", "--label", "a=b", "kept-vol")
    daemon.docker(
        "create",
        "--name",
        "kept",
        "--network",
        "kept-net",
        "-v",
        "kept-vol:/d",
        "-e",
        "A=b",
        "-p",
        "8081:80",
        "busybox",
        "true",
    )
    before = {name: known(daemon, url) for name, url in WHAT.items()}
    daemon.kill9()
    daemon.start()
    assert {name: known(daemon, url) for name, url in WHAT.items()} == before
    assert daemon.docker("start", "-a", "kept").returncode == 0


def known(daemon: Daemon, url: str) -> dict[str, object]:
    """What an object shows; of a network the settings alone, since the reference's own answer changes at a restart."""
    seen = daemon.api("GET", url).json()
    if "IPAM" in seen:
        return {key: seen[key] for key in ("Id", "Name", "Driver", "Labels")} | {
            "Subnet": seen["IPAM"]["Config"][0]["Subnet"]
        }
    return seen


WHAT = {
    "container": "/containers/kept/json",
    "network": "/networks/kept-net",
    "volume": "/volumes/kept-vol",
    "image": "/images/busybox/json",
}


def test_an_orderly_restart_leaves_nothing_behind(own_daemon: Daemon) -> None:
    """A restart with nothing running: the image still works, and the last stop leaves a clean machine."""
    daemon = own_daemon
    daemon.docker("run", "--rm", "-p", "8081:80", "busybox", "true")
    assert daemon.stop() == 0
    assert not leaks.processes(daemon.name, daemon.root)
    daemon.start()
    assert daemon.docker("run", "--rm", "busybox", "echo", "again").stdout == "again\n"


def test_a_second_daemon_on_the_same_root_is_refused(own_daemon: Daemon) -> None:
    """Two daemons never share a data root or a pid file: the second exits with an error and the first goes on."""
    environ = {**os.environ, leaks.MARK: own_daemon.name, "PATH": search_path()}
    second = subprocess.run(own_daemon.argv(), capture_output=True, text=True, timeout=20, check=False, env=environ)
    assert second.returncode != 0
    assert re.search("pid file found|another daemon is using", second.stderr + second.stdout)
    assert own_daemon.out("run", "--rm", "--network", "none", "busybox", "echo", "on") == "on"


@contextmanager
def hammering(daemon: Daemon) -> Iterator[list[str]]:
    """Runs started one after the other in the background until the block ends; their failures."""
    failures: list[str] = []
    ended = threading.Event()

    def hammer() -> None:
        while not ended.is_set():
            try:
                daemon.docker("run", "--rm", "-p", "8090:80", "busybox", "true", check=False)
            except Exception as fault:  # noqa: BLE001  shown by the test
                failures.append(repr(fault))

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.ours
def test_sigkill_at_any_moment(own_daemon: Daemon) -> None:
    """R1: killed at eight random moments of create, start and remove; each start finds or clears everything."""
    daemon = own_daemon
    with hammering(daemon):
        for number in range(8):
            time.sleep(0.13 + 0.07 * number)
            daemon.kill9()
            daemon.start()
    daemon.clear()
    eventually("nothing is left over", lambda: not daemon.litter())
    listed = daemon.api("GET", "/containers/json?all=1").json()
    assert listed == []
    assert daemon.docker("run", "--rm", "-p", "8090:80", "busybox", "echo", "fine").stdout == "fine\n"


def shim_of(pid: int) -> int:
    """The parent of a container's init."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


@pytest.mark.ours
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
def test_a_shim_that_dies_or_hangs_is_noticed(own_daemon: Daemon, sig: signal.Signals) -> None:
    """R3: ps and inspect answer at once, and a container whose shim died is not called running for long."""
    daemon = own_daemon
    started(daemon, "victim", "sleep", "300", options=("--network", "none"))
    started(daemon, "other", "sleep", "300", options=("--network", "none"))
    shim = shim_of(daemon.inspect("victim")["State"]["Pid"])
    os.kill(shim, sig)
    begun = time.monotonic()
    assert daemon.api("GET", "/containers/json").status == 200
    assert daemon.api("GET", "/containers/victim/json").status == 200
    assert time.monotonic() - begun < 1
    if sig == signal.SIGKILL:
        eventually("the death is seen", lambda: daemon.state("victim") == "exited", within=5)
    else:
        os.kill(shim, signal.SIGCONT)
    assert daemon.out("exec", "other", "echo", "on") == "on"
    daemon.docker("rm", "-f", "victim")


@pytest.mark.ours
def test_the_zygote_may_die(own_daemon: Daemon) -> None:
    """The process that forks shims is replaced; running containers do not notice."""
    daemon = own_daemon
    started(daemon, "old", "sleep", "300", options=("--network", "none"))
    children = [int(pid) for pid in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()]
    assert children
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    assert eventually(
        "a new run works", lambda: daemon.docker("run", "--rm", "busybox", "echo", "new", check=False).stdout == "new\n"
    )
    assert daemon.out("exec", "old", "echo", "still") == "still"
    assert daemon.state("old") == "running"


@pytest.mark.ours
def test_two_daemons_on_one_machine(make_daemon: Callable[..., Daemon]) -> None:
    """Side by side, even in one network: each has its own bridge, table, containers and ports."""
    first, second = make_daemon(), make_daemon()
    for daemon in (first, second):
        started(daemon, "same-name", "httpd", "-f", "-p", "80", "-h", "/www", options=("-p", "8081:80"))
    first.docker("rm", "-f", "same-name")
    assert second.state("same-name") == "running"
    assert second.box.fetch("http://127.0.0.1:8081/") == "served from a container\n"
