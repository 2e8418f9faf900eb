"""The life of a container: start, stop, kill, wait, pause, restart, and looking into it with top and stats."""

from __future__ import annotations

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.commands import eventually
from support.daemons import Daemon
from support.http import exchange

TRAP = "trap 'echo got TERM; exit 5' TERM; trap 'echo got USR1' USR1; echo ready; while :; do usleep 20000; done"


def started(daemon: Daemon, *args: str, options: tuple[str, ...] = ()) -> str:
    return daemon.out("run", "-d", "--network", "none", *options, "busybox", *args)


def trapping(daemon: Daemon, *options: str) -> str:
    """A shell that says which signals it got, ready to get them."""
    name = started(daemon, "sh", "-c", TRAP, options=options)
    eventually("the shell is ready", lambda: "ready" in daemon.out("logs", name))
    return name


def test_stop_sends_term_and_waits(daemon: Daemon) -> None:
    name = trapping(daemon)
    assert daemon.out("stop", name) == name
    seen = daemon.inspect(name)["State"]
    assert (seen["Status"], seen["ExitCode"], seen["Running"], seen["Pid"]) == ("exited", 5, False, 0)
    assert daemon.out("logs", name) == "ready\ngot TERM"


def test_stop_kills_after_the_grace(daemon: Daemon) -> None:
    """A program that ignores TERM is killed when -t is over."""
    name = started(daemon, "sleep", "60")
    begun = time.monotonic()
    daemon.docker("stop", "-t", "1", name)
    assert 0.9 < time.monotonic() - begun < 4
    assert daemon.inspect(name)["State"]["ExitCode"] == 137


def test_stop_with_a_signal_of_its_own(daemon: Daemon) -> None:
    """--stop-signal is what stop sends."""
    name = trapping(daemon, "--stop-signal", "USR1", "--stop-timeout", "1")
    daemon.docker("stop", name)
    assert daemon.out("logs", name) == "ready\ngot USR1"


def test_stop_of_a_stopped_container_is_fine(daemon: Daemon) -> None:
    """Asking twice is no error: 304 under the hood."""
    name = started(daemon, "true")
    daemon.docker("wait", name)
    assert daemon.out("stop", name) == name
    assert daemon.api("POST", f"/containers/{name}/stop").status == 304


def test_start_of_a_running_container_is_fine(daemon: Daemon) -> None:
    name = started(daemon, "sleep", "60")
    assert daemon.out("start", name) == name
    assert daemon.api("POST", f"/containers/{name}/start").status == 304


def test_a_container_starts_again(daemon: Daemon) -> None:
    """What it wrote is still there at the second start, and the times move on."""
    name = daemon.out("create", "--network", "none", "busybox", "sh", "-c", "echo x >> /count; wc -l < /count")
    assert daemon.out("start", "-a", name) == "1"
    first = daemon.inspect(name)["State"]
    assert daemon.out("start", "-a", name) == "2"
    second = daemon.inspect(name)["State"]
    assert first["StartedAt"] < second["StartedAt"]
    assert first["FinishedAt"] < second["FinishedAt"]


def test_start_attached_gives_the_exit_code(daemon: Daemon) -> None:
    name = daemon.out("create", "--network", "none", "busybox", "sh", "-c", "exit 6")
    assert daemon.docker("start", "-a", name, check=False).returncode == 6


@pytest.mark.parametrize(("signal", "words"), [("USR1", "got USR1"), ("SIGTERM", "got TERM"), ("10", "got USR1")])
def test_kill_with_a_signal(daemon: Daemon, signal: str, words: str) -> None:
    """kill -s takes a name, with or without SIG, or a number."""
    name = trapping(daemon)
    daemon.docker("kill", "-s", signal, name)
    eventually(words, lambda: words in daemon.out("logs", name))


def test_kill_is_sigkill_by_default(daemon: Daemon) -> None:
    name = started(daemon, "sleep", "60")
    assert daemon.out("kill", name) == name
    assert daemon.out("wait", name) == "137"


def test_kill_of_a_stopped_container_is_refused(daemon: Daemon) -> None:
    name = started(daemon, "true")
    daemon.docker("wait", name)
    done = daemon.docker("kill", name, check=False)
    assert done.returncode == 1
    assert "is not running" in done.stderr


def test_an_invalid_signal_is_named(daemon: Daemon) -> None:
    name = started(daemon, "sleep", "60")
    done = daemon.docker("kill", "-s", "NOSUCH", name, check=False)
    assert done.returncode == 1
    assert re.search("[Ii]nvalid signal: NOSUCH", done.stderr)


def test_wait_returns_the_code_of_each(daemon: Daemon) -> None:
    first, second = started(daemon, "sh", "-c", "exit 4"), started(daemon, "sh", "-c", "sleep 0.5; exit 7")
    assert daemon.out("wait", first, second) == "4\n7"


def test_wait_for_the_next_exit(daemon: Daemon) -> None:
    """condition=next-exit waits for an exit still to come, not for one that was."""
    name = daemon.out("create", "--network", "none", "busybox", "sh", "-c", "exit 8")
    daemon.docker("start", "-a", name, check=False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.api, "POST", f"/containers/{name}/wait?condition=next-exit")
        time.sleep(0.3)
        assert not waiting.done()
        daemon.docker("start", name)
        assert waiting.result(10).json()["StatusCode"] == 8


def test_wait_for_the_removal(daemon: Daemon) -> None:
    """condition=removed answers once the container is gone."""
    name = started(daemon, "sh", "-c", "exit 9")
    daemon.docker("wait", name)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.api, "POST", f"/containers/{name}/wait?condition=removed")
        time.sleep(0.3)
        assert not waiting.done()
        daemon.docker("rm", name)
        assert waiting.result(10).json()["StatusCode"] == 9


def test_wait_sends_its_headers_at_once(daemon: Daemon) -> None:
    """The CLI starts the container only after it has seen the answer's head, so the head must not wait for the exit."""
    name = started(daemon, "sleep", "60")
    request = f"POST /containers/{name}/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
    assert exchange(daemon.socket, request.encode(), timeout=1).startswith(b"HTTP/1.1 200 OK\r\n")


def test_pause_and_unpause(daemon: Daemon) -> None:
    """A paused container does nothing, says so, and goes on where it was."""
    name = started(daemon, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done")
    eventually("it prints", lambda: daemon.out("logs", name))
    daemon.docker("pause", name)
    assert daemon.state(name) == "paused"
    assert "(Paused)" in daemon.out("ps", "--format", "{{.Status}}")
    before = daemon.out("logs", name)
    time.sleep(0.3)
    assert daemon.out("logs", name) == before
    again = daemon.docker("pause", name, check=False)
    assert again.returncode == 1
    assert "is already paused" in again.stderr
    daemon.docker("unpause", name)
    assert daemon.state(name) == "running"
    eventually("it goes on", lambda: len(daemon.out("logs", name)) > len(before))
    assert daemon.docker("unpause", name, check=False).returncode == 1


def test_a_paused_container_can_be_removed(daemon: Daemon) -> None:
    name = started(daemon, "sleep", "60")
    daemon.docker("pause", name)
    daemon.docker("rm", "-f", name)
    assert daemon.out("ps", "-aq") == ""


def test_restart(daemon: Daemon) -> None:
    """restart stops and starts the same container."""
    name = trapping(daemon)
    pid = daemon.inspect(name)["State"]["Pid"]
    daemon.docker("restart", name)
    seen = daemon.inspect(name)["State"]
    assert seen["Running"] is True
    assert seen["Pid"] != pid
    eventually("it is ready again", lambda: daemon.out("logs", name).count("ready") == 2)


def test_top(daemon: Daemon) -> None:
    """top lists the container's processes with the machine's pids."""
    name = started(daemon, "sh", "-c", "sleep 61 & sleep 62")
    eventually("both sleep", lambda: daemon.out("top", name).count("sleep 6") >= 2)
    head, *rows = daemon.out("top", name).splitlines()
    assert head.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert str(daemon.inspect(name)["State"]["Pid"]) in [row.split()[1] for row in rows]
    assert sorted(row.split()[7] for row in rows)[-2:] == ["sleep", "sleep"]


def test_top_with_ps_options(daemon: Daemon) -> None:
    name = started(daemon, "sleep", "61")
    head, row = daemon.out("top", name, "-o", "pid,args").splitlines()
    assert head.split() == ["PID", "COMMAND"]
    assert row.split()[1:] == ["sleep", "61"]


def test_top_of_a_stopped_container_is_refused(daemon: Daemon) -> None:
    name = daemon.out("create", "busybox")
    done = daemon.docker("top", name, check=False)
    assert done.returncode == 1
    assert "is not running" in done.stderr


def test_stats(daemon: Daemon) -> None:
    """stats --no-stream shows a line per container, from real counters."""
    name = started(daemon, "sh", "-c", "while :; do :; done", options=("--name", "busy", "--memory", "64m"))
    time.sleep(0.3)
    head, row = daemon.out("stats", "--no-stream", name).splitlines()
    assert re.split(r"  +", head.strip()) == [
        "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS",
    ]  # fmt: skip
    cells = re.split(r"  +", row.strip())
    assert cells[0] == name[:12]
    assert cells[1] == "busy"
    assert 5 < float(cells[2].rstrip("%")) < 150
    assert cells[3].endswith("/ 64MiB")
    assert cells[7] == "1"


def test_stats_of_the_api(daemon: Daemon) -> None:
    """One-shot and two-sample stats carry the fields that tools compute with."""
    name = started(daemon, "sleep", "60")
    once = daemon.api("GET", f"/containers/{name}/stats?stream=0&one-shot=1").json()
    assert once["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert once["cpu_stats"]["system_cpu_usage"] > 0
    assert once["memory_stats"]["usage"] > 0
    assert once["pids_stats"]["current"] == 1
    assert once["name"].startswith("/")
    twice = daemon.api("GET", f"/containers/{name}/stats?stream=0").json()
    assert twice["precpu_stats"]["system_cpu_usage"] < twice["cpu_stats"]["system_cpu_usage"]


def test_stats_of_a_stopped_container_are_empty(daemon: Daemon) -> None:
    name = daemon.out("create", "busybox")
    answer = daemon.api("GET", f"/containers/{name}/stats?stream=0")
    assert answer.status == 200
    assert json.loads(answer.body)["memory_stats"] == {}


def test_attach_follows_the_output(daemon: Daemon) -> None:
    """attach shows what comes from now on and ends with the container's code."""
    name = started(daemon, "sh", "-c", "sleep 0.7; echo seen; exit 3")
    done = daemon.docker("attach", name, check=False)
    assert done.stdout == "seen\n"
    assert done.returncode == 3


def test_attach_gives_stdin(daemon: Daemon) -> None:
    name = daemon.out("run", "-di", "--network", "none", "busybox", "sh", "-c", "read line; echo got $line")
    attached = daemon.spawn("attach", name, stdin=subprocess.PIPE)
    assert attached.stdin is not None
    attached.stdin.write(b"words\n")
    attached.stdin.flush()
    assert attached.wait(10) == 0
    assert attached.communicate()[0] == b"got words\n"


def test_attach_to_a_stopped_container_is_refused(daemon: Daemon) -> None:
    name = daemon.out("create", "busybox")
    done = daemon.docker("attach", name, check=False)
    assert done.returncode == 1
    assert "cannot attach to a stopped container" in done.stderr.lower()


def test_signals_pass_through_an_attached_run(daemon: Daemon) -> None:
    """A signal to the CLI reaches the program (--sig-proxy)."""
    running = daemon.spawn("run", "--rm", "--network", "none", "--name", "proxied", "busybox", "sh", "-c", TRAP)
    eventually("ready", lambda: "ready" in daemon.docker("logs", "proxied", check=False).stdout)
    running.terminate()
    assert running.wait(10) == 5
    assert running.communicate()[0] == b"ready\ngot TERM\n"


def test_one_stuck_container_does_not_hold_up_the_list(daemon: Daemon) -> None:
    """R4: while a stop waits for its grace, ps and inspect answer at once."""
    name = started(daemon, "sleep", "60")
    stopping = daemon.spawn("stop", "-t", "3", name)
    time.sleep(0.3)
    begun = time.monotonic()
    assert daemon.api("GET", "/containers/json").status == 200
    assert daemon.api("GET", f"/containers/{name}/json").status == 200
    assert time.monotonic() - begun < 1
    daemon.docker("kill", name)
    assert stopping.wait(10) == 0
    stopping.communicate()
