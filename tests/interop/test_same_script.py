"""What users do with containers, the same under each engine with each runtime (Shows 1).

Nothing here knows who is who: a step that only some can do asks for it by what it needs.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path

import pytest

from interop.engines import IMAGE, Docker, Engine, Podman, missing_capabilities
from support.commands import eventually, find
from support.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FOREVER = "while :; do sleep 0.1; done"


def own_words(engine: Engine) -> bool:
    """Whether the runtime says what runc says: Docker's exit codes are read out of that."""
    return engine.runtime != "crun"


def test_exit_codes(engine: Engine) -> None:
    """A program's exit code is the command's."""
    assert engine.call("run", "--rm", IMAGE, "true").returncode == 0
    assert engine.call("run", "--rm", IMAGE, "sh", "-c", "exit 7").returncode == 7


def test_a_program_that_cannot_run(engine: Engine) -> None:
    """127 for one that is not there, 126 for one that may not be executed; nothing is left of it."""
    missing = engine.call("run", "--name", "none", IMAGE, "no-such-program")
    directory = engine.call("run", "--rm", IMAGE, "/etc")
    assert missing.returncode
    assert directory.returncode
    assert "no-such-program" in missing.stderr
    if own_words(engine):
        assert missing.returncode == 127
        assert directory.returncode == 126
        assert 'exec: "no-such-program": executable file not found in $PATH' in missing.stderr


def test_output_and_errors_are_two_streams(engine: Engine) -> None:
    done = engine.call("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_input_goes_through(engine: Engine) -> None:
    """Every byte of it, and its end."""
    data = bytes(range(256)) * 1024
    done = engine.call("run", "--rm", "-i", IMAGE, "sh", "-c", "sha256sum; echo end", input=data)
    assert done.stdout == f"{hashlib.sha256(data).hexdigest()}  -\nend\n"


def test_environment_user_and_directory(engine: Engine) -> None:
    """As asked for: variables, the user with its group and home, the working directory, the host's name."""
    script = "echo $GREETING; id -u; id -g; pwd; hostname"
    options = ["-e", "GREETING=hello", "-u", "nobody", "-w", "/tmp", "--hostname", "named"]
    lines = engine.out("run", "--rm", *options, IMAGE, "sh", "-c", script).splitlines()
    assert lines == ["hello", "65534", "65534", "/tmp", "named"]
    if not isinstance(engine, Podman):  # that refuses a directory that the image does not have
        assert engine.out("run", "--rm", "-w", "/made/for/it", IMAGE, "pwd") == "/made/for/it"
    assert engine.out("run", "--rm", "-u", "1234:5678", IMAGE, "sh", "-c", "id -u; id -g") == "1234\n5678"
    assert engine.out("run", "--rm", IMAGE, "sh", "-c", "echo $HOME") == "/root"


def test_volumes(engine: Engine, tmp_path: Path) -> None:
    """A directory of the host: what is written is there, unless it is read-only; and a named volume lasts."""
    (tmp_path / "given").write_text("from the host")
    script = "cat /data/given && echo back > /data/taken"
    assert engine.out("run", "--rm", "-v", f"{tmp_path}:/data", IMAGE, "sh", "-c", script) == "from the host"
    assert (tmp_path / "taken").read_text() == "back\n"
    refused = engine.call("run", "--rm", "-v", f"{tmp_path}:/data:ro", IMAGE, "touch", "/data/more")
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stderr
    engine.out("run", "--rm", "-v", "kept:/data", IMAGE, "sh", "-c", "echo kept > /data/file")
    assert engine.out("run", "--rm", "-v", "kept:/data", IMAGE, "cat", "/data/file") == "kept"
    engine.out("volume", "rm", "kept")


def test_at_a_terminal(engine: Engine) -> None:
    """A terminal of the container's own: typed at, resized, and its program's exit code."""
    with engine.terminal("run", "--rm", "-it", IMAGE, "sh") as terminal:
        terminal.expect("#")
        terminal.type("tty\n")
        terminal.expect("/dev/pts/0")
        _expect_size(terminal, 24, 80)
        terminal.resize(31, 97)
        _expect_size(terminal, 31, 97)
        terminal.type("exit 9\n")
        assert terminal.wait() == 9


def test_a_container_in_the_background(engine: Engine) -> None:
    """It is listed, says what it says, shows its processes, is stopped by TERM, can be started again, and goes."""
    script = 'echo started; trap "echo stopping; exit 3" TERM; ' + FOREVER
    engine.out("run", "-d", "--name", "box", IMAGE, "sh", "-c", script)
    engine.log_has("box", "started")
    assert engine.out("ps", "--format", "{{.Names}}") == "box"
    assert engine.inspect("box", ".State.Status") == "running"
    assert Path(f"/proc/{engine.inspect('box', '.State.Pid')}").is_dir()
    assert "echo started" in engine.out("top", "box")
    engine.out("stop", "box")
    assert engine.inspect("box", ".State.Status") == "exited"
    assert engine.inspect("box", ".State.ExitCode") == "3"
    assert engine.out("logs", "box") == "started\nstopping"
    engine.out("start", "box")
    engine.out("stop", "box")
    assert engine.out("logs", "box") == "started\nstopping\nstarted\nstopping"
    engine.out("rm", "box")
    assert engine.out("ps", "-aq") == ""


def test_stop_that_is_ignored(engine: Engine) -> None:
    """KILL comes after the time that was given."""
    engine.out("run", "-d", "--name", "box", IMAGE, "sh", "-c", f'trap "" TERM; echo ready; {FOREVER}')
    engine.log_has("box", "ready")
    engine.out("stop", "-t", "1", "box")
    assert engine.inspect("box", ".State.ExitCode") == "137"


def test_kill(engine: Engine) -> None:
    """Any signal, by name; KILL ends it."""
    engine.out("run", "-d", "--name", "box", IMAGE, "sh", "-c", f'trap "echo usr1" USR1; echo ready; {FOREVER}')
    engine.log_has("box", "ready")
    engine.out("kill", "-s", "USR1", "box")
    engine.log_has("box", "usr1")
    engine.out("kill", "box")
    assert engine.out("wait", "box") == "137"


def test_exec(engine: Engine) -> None:
    """A further process: its streams, its exit code, its own variables, user and directory; the container's limits."""
    engine.out("run", "-d", "--name", "box", "-e", "FROM=run", IMAGE, "sleep", "1000")
    done = engine.call("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    script = 'echo "$FROM $MORE"; id -u; pwd; grep -c sleep /proc/1/cmdline'
    given = engine.out("exec", "-e", "MORE=exec", "-u", "nobody", "-w", "/tmp", "box", "sh", "-c", script)
    assert given.splitlines() == ["run exec", "65534", "/tmp", "1"]
    assert engine.out("exec", "-i", "box", "cat", input=b"typed") == "typed"
    same = "sed 's/.*://' /proc/self/cgroup /proc/1/cgroup | sort | uniq -c"
    counts = {line.split()[0] for line in engine.out("exec", "box", "sh", "-c", same).splitlines()}
    assert all(int(count) % 2 == 0 for count in counts), "the exec is not in the container's groups"
    missing = engine.call("exec", "box", "no-such-program")
    assert missing.returncode in (126, 127)
    assert engine.call("exec", "nobody-there", "true").returncode != 0


def test_exec_at_a_terminal(engine: Engine) -> None:
    engine.out("run", "-d", "--name", "box", IMAGE, "sleep", "1000")
    with engine.terminal("exec", "-it", "box", "sh") as terminal:
        terminal.expect("#")
        terminal.type("tty\n")
        terminal.expect("/dev/pts/0")
        _expect_size(terminal, 24, 80)
        terminal.type("exit 4\n")
        assert terminal.wait() == 4
    engine.out("kill", "box")


def test_exec_in_the_background(engine: Engine) -> None:
    """It outlives the command that started it, and ends with the container."""
    engine.out("run", "-d", "--name", "box", IMAGE, "sleep", "1000")
    engine.out("exec", "-d", "box", "sh", "-c", f"echo here > /there; {FOREVER}")
    eventually("it has begun", lambda: engine.call("exec", "box", "cat", "/there").stdout == "here\n", within=15)
    engine.remove("box")


def test_pause(engine: Engine, tmp_path: Path) -> None:
    """A paused container stands still, and goes on."""
    count = "i=0; while :; do i=$((i+1)); echo $i > /data/n.new; mv /data/n.new /data/n; done"
    engine.out("run", "-d", "--name", "box", "-v", f"{tmp_path}:/data", IMAGE, "sh", "-c", count)
    number = tmp_path / "n"
    eventually("it counts", number.exists)
    engine.out("pause", "box")
    assert engine.inspect("box", ".State.Status") == "paused"
    stands = number.read_text()
    time.sleep(0.3)
    assert number.read_text() == stands
    engine.out("unpause", "box")
    eventually("it counts on", lambda: number.read_text() != stands)
    assert engine.inspect("box", ".State.Status") == "running"
    engine.out("kill", "box")


def test_limits(engine: Engine) -> None:
    """Memory, processor time and processes are limited as asked for; running out of memory is told."""
    options = ["--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "40"]
    engine.out("run", "-d", "--name", "box", *options, IMAGE, "sleep", "1000")
    pid = engine.inspect("box", ".State.Pid")
    assert _limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert _limit(pid, "pids", "pids.max", "pids.max") == "40"
    period = _limit(pid, "cpu", "cpu.cfs_period_us", "cpu.max").split()[-1]
    quota = _limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
    assert int(quota) * 2 == int(period)
    engine.remove("box")
    small = ["--memory", "32m", "--memory-swap", "32m"]
    engine.call("run", "--name", "big", *small, IMAGE, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
    assert engine.inspect("big", ".State.ExitCode") == "137"
    if not isinstance(engine, Podman):  # conmon does not see it on this cgroup version
        assert engine.inspect("big", ".State.OOMKilled") == "true"


def test_a_read_only_root(engine: Engine) -> None:
    """With a place to write that is gone with the container."""
    script = "touch /scratch/a && ! touch /b"
    done = engine.call("run", "--rm", "--read-only", "--tmpfs", "/scratch", IMAGE, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "Read-only file system" in done.stderr


def test_rights(engine: Engine) -> None:
    """The default ones allow no mount; none at all with --cap-drop ALL; every one with --privileged."""
    shown = "grep -E 'CapEff|Seccomp:' /proc/self/status"
    assert engine.call("run", "--rm", IMAGE, "mount", "-t", "tmpfs", "none", "/mnt").returncode != 0
    default = engine.out("run", "--rm", IMAGE, "sh", "-c", shown).split()
    assert default[1] != "0000000000000000"
    assert default[3] == "2"
    dropped = engine.out("run", "--rm", "--cap-drop", "ALL", IMAGE, "sh", "-c", shown).split()
    assert dropped[1] == "0000000000000000"
    if isinstance(engine, Docker) and engine.daemon.kind == "dockerd" and missing_capabilities():
        return  # it asks for those that the machine does not have, whatever the runtime
    own = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    assert own is not None
    privileged = engine.out("run", "--rm", "--privileged", IMAGE, "sh", "-c", shown).split()
    assert privileged[1] == own[1]
    assert privileged[3] == "0"


def test_an_init_in_front(engine: Engine) -> None:
    """--init puts another program at process 1, which ends orphans and passes signals on."""
    options = ["--init"]
    if isinstance(engine, Podman):
        if (path := find("tini-static")) is None:
            pytest.skip("no tini on this machine: tools/packages installs it")
        options += ["--init-path", path]
    script = f'trap "exit 6" TERM; echo ready; {FOREVER}'
    engine.out("run", "-d", "--name", "box", *options, IMAGE, "sh", "-c", script)
    engine.log_has("box", "ready")
    assert "init" in engine.out("exec", "box", "cat", "/proc/1/comm")
    engine.out("stop", "box")
    assert engine.inspect("box", ".State.ExitCode") == "6"


def test_remove(engine: Engine) -> None:
    """Not while it runs, unless it is forced; then nothing of it is left (which is looked at after every test)."""
    engine.out("run", "-d", "--name", "box", IMAGE, "sleep", "1000")
    pid = engine.inspect("box", ".State.Pid")
    assert engine.call("rm", "box").returncode != 0
    engine.remove("box")
    assert not os.path.exists(f"/proc/{pid}")
    assert engine.call("inspect", "box").returncode != 0


def _expect_size(terminal: Terminal, rows: int, columns: int) -> None:
    """It comes a moment after the program's start: a client that cannot give it at the start gives it then."""
    terminal.type(f"while [ \"$(stty size 2>&1)\" != '{rows} {columns}' ]; do sleep 0.1; done; echo si''ze is right\n")
    terminal.expect("size is right", within=20)


def _limit(pid: str, controller: str, v1: str, v2: str) -> str:
    """The contents of a limit's file of the group that ``pid`` is in."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{v1}").read_text().strip()
    path = Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()
    return Path(f"/sys/fs/cgroup{path}/{v2}").read_text().strip()
