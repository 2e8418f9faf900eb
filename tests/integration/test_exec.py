"""``docker exec``: another program in a container that runs."""

from __future__ import annotations

from hashlib import sha256

import pytest

from support.daemons import Daemon


@pytest.fixture
def box(daemon: Daemon) -> str:
    """A container that waits."""
    return daemon.out(
        "run", "-d", "--name", "box", "-e", "FROM=container", "--network", "none", "busybox", "sleep", "60"
    )


def test_it_runs_beside_the_program(daemon: Daemon, box: str) -> None:
    """exec sees the container's processes, files and environment."""
    printed = daemon.out("exec", box, "sh", "-c", "echo $FROM; ps -o pid,args | grep -c 'sleep 60$'")
    assert printed == "container\n1"


def test_user_working_directory_environment(daemon: Daemon, box: str) -> None:
    """exec -u -w -e apply to the new program alone."""
    script = "echo $(id -u):$(id -g) $(pwd) $ADDED"
    assert (
        daemon.out("exec", "-u", "nobody", "-w", "/etc", "-e", "ADDED=1", box, "sh", "-c", script)
        == "65534:65534 /etc 1"
    )


@pytest.mark.parametrize("code", [0, 5, 255])
def test_the_exit_code(daemon: Daemon, box: str, code: int) -> None:
    assert daemon.docker("exec", box, "sh", "-c", f"exit {code}", check=False).returncode == code


def test_a_signal_is_128_and_its_number(daemon: Daemon, box: str) -> None:
    assert daemon.docker("exec", box, "sh", "-c", "kill -9 $$", check=False).returncode == 137


def test_an_unknown_program(daemon: Daemon, box: str) -> None:
    """127 as Docker has given since 23.0; the reference, 20.10, still says 126."""
    done = daemon.docker("exec", box, "no-such-program", check=False)
    assert done.returncode in {126, 127}
    assert 'exec: "no-such-program": executable file not found in $PATH' in done.stdout + done.stderr


def test_a_file_that_is_no_program_is_126(daemon: Daemon, box: str) -> None:
    assert daemon.docker("exec", box, "/etc/passwd", check=False).returncode == 126


def test_stdin_is_passed_and_ends(daemon: Daemon, box: str) -> None:
    """exec -i: standard input to its end, the output after it."""
    data = b"a" * 300_000
    assert daemon.docker("exec", "-i", box, "sha256sum", input=data).stdout.split()[0] == sha256(data).hexdigest()


def test_stdout_and_stderr_stay_apart(daemon: Daemon, box: str) -> None:
    done = daemon.docker("exec", box, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_detached_exec_runs_on(daemon: Daemon, box: str) -> None:
    """exec -d returns at once; what it does happens."""
    daemon.docker("exec", "-d", box, "sh", "-c", "echo done > /done")
    script = "while ! [ -s /done ]; do usleep 10000; done; cat /done"
    assert daemon.out("exec", box, "sh", "-c", script) == "done"


def test_output_at_a_fast_exit_is_whole(daemon: Daemon, box: str) -> None:
    expected = "".join(f"{number}\n" for number in range(1, 20001))
    for _ in range(5):
        assert daemon.docker("exec", box, "seq", "20000").stdout == expected


def test_a_stopped_container_is_refused(daemon: Daemon) -> None:
    name = daemon.out("create", "--name", "still", "busybox", "true")
    done = daemon.docker("exec", name, "true", check=False)
    assert done.returncode == 1
    assert "is not running" in done.stderr


def test_a_paused_container_is_refused(daemon: Daemon, box: str) -> None:
    daemon.docker("pause", box)
    done = daemon.docker("exec", box, "true", check=False)
    daemon.docker("unpause", box)
    assert done.returncode == 1
    assert "is paused, unpause the container before exec" in done.stderr


def test_an_unknown_container(daemon: Daemon) -> None:
    done = daemon.docker("exec", "nobody-here", "true", check=False)
    assert done.returncode == 1
    assert "No such container: nobody-here" in done.stderr


def test_inspect_of_an_exec(daemon: Daemon, box: str) -> None:
    """An exec is created, inspected while not started, started, and inspected with its code."""
    made = daemon.api("POST", f"/containers/{box}/exec", {"Cmd": ["sh", "-c", "exit 9"], "AttachStdout": True})
    assert made.status == 201
    exec_id = made.json()["Id"]
    before = daemon.api("GET", f"/exec/{exec_id}/json").json()
    assert (before["Running"], before["ExitCode"], before["ContainerID"]) == (False, None, box)
    assert before["ProcessConfig"]["entrypoint"] == "sh"
    assert before["ProcessConfig"]["arguments"] == ["-c", "exit 9"]
    with daemon.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}) as stream:
        assert stream.read_all() == b""
    after = daemon.api("GET", f"/exec/{exec_id}/json").json()
    assert (after["Running"], after["ExitCode"]) == (False, 9)
    assert exec_id not in (daemon.inspect(box)["ExecIDs"] or [])


def test_an_unknown_exec(daemon: Daemon) -> None:
    answer = daemon.api("GET", "/exec/0123456789abcdef/json")
    assert answer.status == 404
    assert "No such exec instance: 0123456789abcdef" in answer.message


def test_exec_ends_with_its_container(daemon: Daemon, box: str) -> None:
    """Removing the container ends every exec in it."""
    waiting = daemon.spawn("exec", box, "sleep", "50")
    daemon.docker("exec", box, "sh", "-c", "until ps -o args | grep -q '^sleep 50'; do usleep 10000; done")
    daemon.docker("rm", "-f", box)
    assert waiting.wait(10) == 137
    waiting.communicate()


@pytest.mark.ours  # runc asks for capabilities that a machine without all of them cannot give
def test_privileged_exec_has_every_capability(daemon: Daemon, box: str) -> None:
    script = "grep CapEff /proc/self/status"
    plain = daemon.out("exec", box, "sh", "-c", script)
    full = daemon.out("exec", "--privileged", box, "sh", "-c", script)
    assert plain.split()[1] == "00000000a80425fb"
    assert int(full.split()[1], 16) > int(plain.split()[1], 16)
