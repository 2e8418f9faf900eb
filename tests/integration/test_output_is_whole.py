"""What a program prints arrives: every byte, once, in order, attached and in the log (R10, R11)."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.commands import eventually
from support.daemons import Daemon

LINES = 20_000
GATE = "echo 0; until [ -e /go ]; do usleep 10000; done; "


def counted(last: int, first: int = 1) -> str:
    return "".join(f"{number}\n" for number in range(first, last + 1))


class Follower:
    """A ``docker logs -f`` and what it has printed."""

    def __init__(self, daemon: Daemon, name: str, *options: str) -> None:
        self.process: subprocess.Popen[bytes] = daemon.spawn("logs", "-f", *options, name)
        self._printed = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := self.process.stdout.read1(65536):
            self._printed += chunk

    @property
    def printed(self) -> str:
        return self._printed.decode()

    def finished(self) -> str:
        """All that it has printed, once it has ended by itself."""
        self._thread.join(20)
        self.process.kill()
        self._thread.join()
        self.process.communicate()
        assert self.process.returncode == 0
        return self.printed


def waiting(daemon: Daemon, script: str, *options: str) -> str:
    """A container that prints 0, and runs ``script`` once ``release`` is called."""
    options = tuple(word for option in options for word in ("--log-opt", option))
    return daemon.out("run", "-d", "--network", "none", *options, "busybox", "sh", "-c", GATE + script)


def followed(daemon: Daemon, name: str, count: int) -> list[Follower]:
    followers = [Follower(daemon, name) for _ in range(count)]
    eventually("everybody follows", lambda: all(one.printed for one in followers))
    return followers


def release(daemon: Daemon, name: str) -> None:
    daemon.docker("exec", name, "touch", "/go")


@pytest.mark.ours  # the reference loses and repeats lines at a rotation
@pytest.mark.parametrize("options", [("max-file=1",), ("max-file=2",), ("max-file=3", "compress=true")])
def test_followers_of_a_fast_writer_miss_nothing(daemon: Daemon, options: tuple[str, ...]) -> None:
    """R10: 1 kB log files, a writer without a pause, three followers: every line once, in order."""
    name = waiting(daemon, f"seq 1 {LINES}", "max-size=1k", *options)
    followers = followed(daemon, name, 3)
    release(daemon, name)
    for follower in followers:
        assert follower.finished() == counted(LINES, 0)


@pytest.mark.ours
def test_a_slow_follower_misses_nothing(daemon: Daemon) -> None:
    """R10: a follower whose terminal stands still for a while reads everything afterwards."""
    name = waiting(daemon, f"seq 1 {LINES}", "max-size=1k", "max-file=1")
    slow = daemon.spawn("logs", "-f", name)
    assert slow.stdout is not None
    printed = slow.stdout.read1(65536)
    release(daemon, name)
    time.sleep(1)
    printed += slow.communicate(timeout=20)[0]
    assert printed.decode() == counted(LINES, 0)


@pytest.mark.ours
def test_a_log_without_readers_keeps_its_size(daemon: Daemon) -> None:
    """Followers that have left cost nothing: the next rotations bring the files down to what was asked for."""
    name = waiting(daemon, f"seq 1 {LINES}; sleep 1; seq 1 1000", "max-size=1k", "max-file=2")
    follower = followed(daemon, name, 1)[0]
    release(daemon, name)
    eventually("all is followed", lambda: f"\n{LINES}\n" in follower.printed)
    follower.process.kill()
    follower.process.communicate()
    daemon.docker("wait", name)
    folder = Path(daemon.inspect(name)["LogPath"]).parent
    sizes = [path.stat().st_size for path in folder.iterdir() if "-json.log" in path.name]
    assert len(sizes) == 2
    assert max(sizes) < 1200


@pytest.mark.ours
def test_an_outside_truncation_does_not_end_a_follower(daemon: Daemon) -> None:
    """R10: somebody empties the log under it: what comes afterwards is followed."""
    script = f"seq 1 5000; until [ -e /on ]; do usleep 10000; done; seq 5001 {LINES}"
    name = waiting(daemon, script, "max-size=1m", "max-file=1")
    follower = followed(daemon, name, 1)[0]
    release(daemon, name)
    eventually("the first part is followed", lambda: follower.printed.endswith("\n5000\n"))
    Path(daemon.inspect(name)["LogPath"]).write_bytes(b"")
    daemon.docker("exec", name, "touch", "/on")
    assert follower.finished() == counted(LINES, 0)


@pytest.mark.parametrize("last", [1, 1000, 100_000])
def test_a_fast_exit_truncates_nothing_for_who_is_attached(daemon: Daemon, last: int) -> None:
    """R11: ``run`` of a program that prints and exits at once, ten times, byte for byte."""
    for _ in range(10):
        done = daemon.docker("run", "--rm", "--network", "none", "busybox", "seq", "1", str(last))
        assert done.stdout == counted(last)


def test_a_fast_exit_truncates_nothing_in_the_log(daemon: Daemon) -> None:
    """R11: the same by ``docker logs``, following or afterwards."""
    for last in (1, 1000, 100_000) * 3:
        name = daemon.out("run", "-d", "--network", "none", "busybox", "seq", "1", str(last))
        assert daemon.docker("logs", "-f", name).stdout == counted(last)
        assert daemon.docker("logs", name).stdout == counted(last)


def test_both_streams_are_whole(daemon: Daemon) -> None:
    """R11: neither stream takes the other's end with it."""
    script = "seq 1 20000 & seq 1 20000 >&2; wait"
    for _ in range(5):
        done = daemon.docker("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
        assert (done.stdout, done.stderr) == (counted(20_000), counted(20_000))


def test_a_terminal_is_whole(daemon: Daemon) -> None:
    """R11: the same through a pseudo-terminal, whose last bytes come after its program."""
    for _ in range(5):
        name = daemon.out("run", "-dt", "--network", "none", "busybox", "seq", "1", "5000")
        assert daemon.docker("logs", "-f", name).stdout == counted(5000).replace("\n", "\r\n")


def test_an_execs_output_is_whole(daemon: Daemon) -> None:
    """R11: for exec too."""
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "300")
    for last in (1, 1000, 100_000) * 3:
        assert daemon.docker("exec", name, "seq", "1", str(last)).stdout == counted(last)
