"""``docker logs``: what a program printed, while it prints and long after."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from support.daemons import Daemon

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")


def ended(daemon: Daemon, script: str, *options: str) -> str:
    """A container that ran ``script`` to its end."""
    name = daemon.out("create", "--network", "none", *options, "busybox", "sh", "-c", script)
    daemon.docker("start", name)
    daemon.docker("wait", name)
    return name


def test_both_streams_of_an_ended_container(daemon: Daemon) -> None:
    done = daemon.docker("logs", ended(daemon, "echo out; echo err >&2"))
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_last_line_without_newline(daemon: Daemon) -> None:
    assert daemon.docker("logs", ended(daemon, "printf 'no newline'")).stdout == "no newline"


def test_tail(daemon: Daemon) -> None:
    name = ended(daemon, "seq 100")
    assert daemon.docker("logs", "--tail", "3", name).stdout == "98\n99\n100\n"
    assert daemon.docker("logs", "--tail", "0", name).stdout == ""
    assert daemon.docker("logs", "-n", "all", name).stdout.count("\n") == 100


def test_timestamps(daemon: Daemon) -> None:
    """-t puts RFC 3339 time with nine digits before each line."""
    printed = daemon.docker("logs", "-t", ended(daemon, "echo a; echo b")).stdout.splitlines()
    assert [STAMP.sub("", line) for line in printed] == ["a", "b"]


def test_since_and_until(daemon: Daemon) -> None:
    """--since and --until cut by the time of each line."""
    name = ended(daemon, "echo early; sleep 1.2; echo late")
    stamps = [line.split()[0] for line in daemon.docker("logs", "-t", name).stdout.splitlines()]
    assert daemon.docker("logs", "--since", stamps[1], name).stdout == "late\n"
    assert daemon.docker("logs", "--until", stamps[0], name).stdout == "early\n"
    assert daemon.docker("logs", "--since", "1h", name).stdout == "early\nlate\n"
    assert daemon.docker("logs", "--until", "1h", name).stdout == ""


def test_follow_ends_with_the_container(daemon: Daemon) -> None:
    """logs -f prints what there is, then what comes, and returns at the end."""
    name = daemon.out(
        "run", "-d", "--network", "none", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"
    )
    assert daemon.docker("logs", "-f", name, timeout=10).stdout == "1\n2\n3\n4\n5\n"


def test_follow_with_tail(daemon: Daemon) -> None:
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sh", "-c", "seq 50; sleep 1; echo last")
    time.sleep(0.3)
    assert daemon.docker("logs", "-f", "--tail", "2", name, timeout=10).stdout == "49\n50\nlast\n"


def test_many_lines_are_all_there(daemon: Daemon) -> None:
    name = ended(daemon, "seq 50000")
    assert daemon.docker("logs", name).stdout == "".join(f"{number}\n" for number in range(1, 50001))


def test_a_very_long_line_is_whole(daemon: Daemon) -> None:
    """A line longer than the log's own chunks comes back as it was."""
    name = ended(daemon, "head -c 100000 /dev/zero | tr '\\0' x; echo")
    assert daemon.docker("logs", name).stdout == "x" * 100_000 + "\n"


@pytest.mark.ours  # the reference repeats lines at a rotation
def test_rotation_loses_nothing_to_a_follower(daemon: Daemon) -> None:
    """R10: logs -f goes on across rotations without losing or repeating a line."""
    options = ("--log-opt", "max-size=4k", "--log-opt", "max-file=3")
    script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); usleep 3000; done"
    name = daemon.out("run", "-d", "--network", "none", *options, "busybox", "sh", "-c", script)
    followed = daemon.docker("logs", "-f", name, timeout=20).stdout.splitlines()
    assert followed == [f"line {number}" for number in range(400)]
    folder = Path(daemon.inspect(name)["LogPath"]).parent
    assert len([path for path in folder.iterdir() if "-json.log" in path.name]) == 3


def test_rotated_files_are_read_in_order(daemon: Daemon) -> None:
    options = ("--log-opt", "max-size=2k", "--log-opt", "max-file=3")
    printed = daemon.docker("logs", ended(daemon, "seq 500", *options)).stdout.split()
    assert printed[-1] == "500"
    assert [int(line) for line in printed] == list(range(501 - len(printed), 501))
    assert 20 < len(printed) < 500


def test_the_file_is_dockers_json(daemon: Daemon) -> None:
    """The log on disk is what log shippers read: one JSON object per line, at LogPath."""
    name = ended(daemon, "echo out; echo err >&2")
    path = Path(daemon.inspect(name)["LogPath"])
    assert path.name == f"{name}-json.log"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted((record["stream"], record["log"]) for record in records) == [("stderr", "err\n"), ("stdout", "out\n")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", record["time"]) for record in records)


def test_the_none_driver_keeps_nothing(daemon: Daemon) -> None:
    name = ended(daemon, "echo unseen", "--log-driver", "none")
    done = daemon.docker("logs", name, check=False)
    assert done.returncode == 1
    assert "configured logging driver does not support reading" in done.stderr


def test_an_unknown_driver_or_option_is_refused(daemon: Daemon) -> None:
    for options in (("--log-driver", "no-such-driver"), ("--log-opt", "no-such-option=1")):
        done = daemon.docker("create", *options, "busybox", check=False)
        assert done.returncode == 1, options
        assert "no-such-" in done.stderr


def test_a_terminals_log_is_raw(daemon: Daemon) -> None:
    """With -t there is one stream and the terminal's line ends."""
    name = ended(daemon, "echo out; echo err >&2", "-t")
    assert daemon.docker("logs", name).stdout == "out\r\nerr\r\n"


def test_logs_of_a_restarted_container_go_on(daemon: Daemon) -> None:
    name = ended(daemon, "echo again")
    daemon.docker("start", name)
    daemon.docker("wait", name)
    assert daemon.docker("logs", name).stdout == "again\nagain\n"


def test_an_unknown_container(daemon: Daemon) -> None:
    done = daemon.docker("logs", "nobody-here", check=False)
    assert done.returncode == 1
    assert "No such container: nobody-here" in done.stderr


@pytest.mark.parametrize("query", ["", "stdout=0&stderr=0"])
def test_a_stream_must_be_chosen(daemon: Daemon, query: str) -> None:
    name = ended(daemon, "true")
    answer = daemon.api("GET", f"/containers/{name}/logs?{query}")
    assert answer.status == 400
    assert "you must choose at least one stream" in answer.message


def test_a_client_that_hangs_up_is_forgotten(daemon: Daemon) -> None:
    """A killed logs -f leaves the daemon answering and holds nothing open."""
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sh", "-c", "while :; do echo x; usleep 20000; done")
    before = len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
    followers = [daemon.spawn("logs", "-f", name) for _ in range(5)]
    time.sleep(0.5)
    for follower in followers:
        follower.kill()
        follower.communicate()
    time.sleep(0.5)
    after = len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
    assert after <= before + 3
    assert daemon.state(name) == "running"
