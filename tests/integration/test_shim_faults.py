"""The processes between the daemon and a container die or stand still: the daemon answers, and knows (R3, R4)."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import eventually
from support.daemons import Daemon

pytestmark = pytest.mark.ours

NONE = ("--network", "none")
ANSWER = 1.0  # seconds for a list or an inspect
TRUTH = 5.0  # seconds until the state is right


@pytest.fixture
def stopped() -> Iterator[Callable[[int], None]]:
    """SIGSTOP for a process; what still stands at the end of the test goes on."""
    pids: list[int] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)
        eventually("it stands still", lambda: fields(pid)[0] == "T")

    yield stop
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGCONT)


def fields(pid: int) -> list[str]:
    """/proc/<pid>/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def alive(pid: int) -> bool:
    """Whether it is more than a zombie, which the machine's own init is left with for a moment."""
    try:
        return fields(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def started(daemon: Daemon, name: str, *command: str) -> int:
    """A container's first process."""
    daemon.docker("run", "-d", "--name", name, *NONE, "busybox", *(command or ("sleep", "300")))
    return daemon.inspect(name)["State"]["Pid"]


def shim_of(pid: int) -> int:
    shim = int(fields(pid)[1])
    assert Path(f"/proc/{shim}/comm").read_text() == "wherry-shim\n"
    return shim


def zygote_of(daemon: Daemon) -> int:
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "wherry-zygote\n")


def slowest_answer(daemon: Daemon, *names: str, rounds: int = 1) -> float:
    """Seconds that the slowest of the lists and inspects took."""
    urls = ["/containers/json", "/containers/json?all=1&size=1", *(f"/containers/{name}/json" for name in names)]
    took = []
    for url in urls * rounds:
        begun = time.monotonic()
        assert daemon.api("GET", url).status == 200
        took.append(time.monotonic() - begun)
    return max(took)


@contextmanager
def hammered(daemon: Daemon, *names: str) -> Iterator[None]:
    """Before and after the block lists and inspects answer at once, many times over; the CLI's ps too."""
    yield
    assert slowest_answer(daemon, *names, rounds=30) < ANSWER
    begun = time.monotonic()
    daemon.docker("ps", "-a", timeout=10)
    assert time.monotonic() - begun < ANSWER + 1  # the CLI's own start counts


def test_a_killed_shim(own_daemon: Daemon) -> None:
    """R3: its container is reported dead, nothing of it lives on, and it can be started again."""
    daemon = own_daemon
    pid, other = started(daemon, "victim"), started(daemon, "other")
    waiting = daemon.spawn("wait", "victim")
    os.kill(shim_of(pid), signal.SIGKILL)
    assert slowest_answer(daemon, "victim", "other") < ANSWER
    eventually("the death is seen", lambda: daemon.state("victim") == "exited", within=TRUTH)
    assert daemon.inspect("victim")["State"]["ExitCode"] == 137
    assert waiting.communicate(timeout=TRUTH)[0] == b"137\n"
    assert not alive(pid)
    assert daemon.inspect("other")["State"]["Pid"] == other
    daemon.docker("start", "victim")
    assert daemon.out("exec", "victim", "echo", "on") == "on"


def test_a_killed_shim_of_a_program_that_outlives_its_parent(own_daemon: Daemon) -> None:
    """R3: with --init and a user of its own the program has lost its death signal or never had it: it is ended too."""
    daemon = own_daemon
    options = (*NONE, "--init", "-u", "nobody")
    daemon.docker("run", "-d", "--name", "victim", *options, "busybox", "sh", "-c", "sleep 301 & sleep 302")
    pid = daemon.inspect("victim")["State"]["Pid"]
    os.kill(shim_of(pid), signal.SIGKILL)
    eventually("the death is seen", lambda: daemon.state("victim") == "exited", within=TRUTH)
    assert not alive(pid)


def test_a_restart_policy_counts_a_killed_shim_as_a_failure(own_daemon: Daemon) -> None:
    """R3: the container comes back by its policy."""
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "victim", *NONE, "--restart", "on-failure", "busybox", "sleep", "300")
    pid = daemon.inspect("victim")["State"]["Pid"]
    os.kill(shim_of(pid), signal.SIGKILL)
    eventually(
        "it runs again",
        lambda: (state := daemon.inspect("victim")["State"])["Status"] == "running" and state["Pid"] not in {0, pid},
        within=TRUTH,
    )


def test_a_stopped_shim(own_daemon: Daemon, stopped: Callable[[int], None]) -> None:
    """R3: the container runs on and says so; its end is seen though its shim does not speak; stop and rm work."""
    daemon = own_daemon
    pids = {name: started(daemon, name) for name in ("killed", "stopped", "removed", "other")}
    for name in ("killed", "stopped", "removed"):
        stopped(shim_of(pids[name]))
    assert slowest_answer(daemon, *pids) < ANSWER
    assert {daemon.state(name) for name in pids} == {"running"}
    assert daemon.out("exec", "killed", "echo", "on") == "on"
    daemon.docker("kill", "killed")
    eventually("the end is seen", lambda: daemon.state("killed") == "exited", within=TRUTH)
    begun = time.monotonic()
    daemon.docker("stop", "-t", "1", "stopped")
    daemon.docker("rm", "-f", "removed")
    assert time.monotonic() - begun < 1 + 2 * TRUTH
    assert daemon.state("stopped") == "exited"
    assert daemon.state("other") == "running"
    assert not [name for name in ("killed", "stopped", "removed") if alive(pids[name])]


def test_a_stopped_shim_that_goes_on(own_daemon: Daemon, stopped: Callable[[int], None]) -> None:
    """R3: what the program printed meanwhile is not lost."""
    daemon = own_daemon
    pid = started(daemon, "talker", "sh", "-c", "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); usleep 5000; done")
    stopped(shim_of(pid))
    time.sleep(0.5)
    os.kill(shim_of(pid), signal.SIGCONT)
    assert daemon.out("wait", "talker") == "0"
    assert daemon.docker("logs", "talker").stdout.split() == [str(number) for number in range(200)]


def test_a_killed_shim_of_an_exec(own_daemon: Daemon) -> None:
    """The exec ends with an error; its container does not notice."""
    daemon = own_daemon
    pid = started(daemon, "other")
    running = daemon.spawn("exec", "other", "sh", "-c", "echo here; exec sleep 299")
    assert running.stdout is not None
    assert running.stdout.readline() == b"here\n"
    program = next(
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and daemon_exec(entry, pid) and b"299" in (entry / "cmdline").read_bytes()
    )
    os.kill(shim_of(program), signal.SIGKILL)
    running.communicate(timeout=TRUTH)
    assert running.returncode == 137
    assert daemon.state("other") == "running"
    assert not alive(program)


def daemon_exec(entry: Path, container: int) -> bool:
    """Whether a process runs in a container's mount namespace."""
    try:
        return os.readlink(entry / "ns/mnt") == os.readlink(f"/proc/{container}/ns/mnt")
    except OSError:
        return False


def test_a_start_that_stands_still(own_daemon: Daemon, stopped: Callable[[int], None]) -> None:
    """R4: with the zygote stopped, a start and an exec hang, and nothing else does; they complete when it goes on."""
    daemon = own_daemon
    started(daemon, "other")
    daemon.docker("create", "--name", "late", *NONE, "busybox", "echo", "late")
    zygote = zygote_of(daemon)
    stopped(zygote)
    with hammered(daemon, "late", "other"):
        starting = daemon.spawn("start", "-a", "late")
        execing = daemon.spawn("exec", "other", "echo", "in")
        time.sleep(0.5)
        assert (starting.poll(), execing.poll()) == (None, None)
    assert daemon.docker("logs", "other").stdout == ""
    daemon.docker("pause", "other")
    daemon.docker("unpause", "other")
    os.kill(zygote, signal.SIGCONT)
    assert starting.communicate(timeout=10) == (b"late\n", b"")
    assert execing.communicate(timeout=10) == (b"in\n", b"")


def test_a_stop_that_stands_still(own_daemon: Daemon) -> None:
    """R4: while a container takes its time to stop, lists and inspects do not wait for it."""
    daemon = own_daemon
    started(daemon, "stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    stopping = daemon.spawn("stop", "-t", "4", "stubborn")
    with hammered(daemon, "stubborn"):
        time.sleep(0.2)
        assert stopping.poll() is None
    assert stopping.communicate(timeout=10)[0] == b"stubborn\n"
    assert daemon.inspect("stubborn")["State"]["ExitCode"] == 137


def test_a_container_that_stands_still(own_daemon: Daemon, stopped: Callable[[int], None]) -> None:
    """R4: a program that does not react at all blocks nobody, and is killed all the same."""
    daemon = own_daemon
    pid = started(daemon, "frozen")
    stopped(pid)
    with hammered(daemon, "frozen"):
        stopping = daemon.spawn("stop", "-t", "1", "frozen")
    stopping.communicate(timeout=10)
    assert daemon.state("frozen") == "exited"


def test_the_zygote_may_die_in_the_middle_of_a_start(own_daemon: Daemon, stopped: Callable[[int], None]) -> None:
    """What it had not begun is begun again with the next one; what ran runs on."""
    daemon = own_daemon
    pid = started(daemon, "other")
    zygote = zygote_of(daemon)
    stopped(zygote)
    running = [daemon.spawn("run", "--rm", *NONE, "busybox", "echo", str(number)) for number in range(3)]
    time.sleep(0.5)
    os.kill(zygote, signal.SIGKILL)
    assert [one.communicate(timeout=15)[0] for one in running] == [b"0\n", b"1\n", b"2\n"]
    assert daemon.inspect("other")["State"]["Pid"] == pid
    assert zygote_of(daemon) != zygote


@pytest.mark.slow
def test_lists_stay_quick_under_starts(own_daemon: Daemon) -> None:
    """R4: with twenty starts under way on a busy machine the median list does not wait for any of them."""
    daemon = own_daemon
    running = [daemon.spawn("run", "-d", *NONE, "busybox", "sleep", "300") for _ in range(20)]
    took = [slowest_answer(daemon) for _ in range(20)]
    for one in running:
        assert one.communicate(timeout=30)[1] == b""
    assert statistics.median(took) < ANSWER / 4
