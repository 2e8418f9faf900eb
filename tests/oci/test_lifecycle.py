"""A container's life through the command, as engines drive it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from support.commands import eventually

pytestmark = pytest.mark.root


def test_create_start_kill_delete(yard: Yard, oci: Oci):
    """Each step shows in ``state``; the program runs only after ``start``; ``delete`` leaves nothing."""
    bundle = yard.bundle(
        yard.config("sh", "-c", "echo started > /tmp/started; exec sleep 100") | {"root": _writable(yard)}
    )
    oci.create(bundle)
    state = oci.state()
    assert state["status"] == "created"
    assert (state["id"], state["bundle"], state["ociVersion"]) == ("box", str(bundle), "1.2.0")
    assert stat.S_IMODE((oci.root / "box").stat().st_mode) == 0o711
    mark = Path(f"/proc/{state['pid']}/root/tmp/started")
    assert not mark.exists()

    oci.ok("start", "box")
    assert oci.state()["status"] == "running"
    eventually("the program", mark.exists)

    oci.ok("kill", "box", "KILL")
    oci.wait_for("stopped")
    assert oci.state()["pid"] == 0
    oci.ok("delete", "box")
    assert oci("state", "box").message == "container does not exist"


def _writable(yard: Yard) -> dict[str, object]:
    return {"path": str(yard.rootfs), "readonly": False}


def test_run_ends_with_the_containers_code_and_deletes_it(yard: Yard, oci: Oci):
    """Also when a signal has ended it."""
    assert oci("run", "-b", yard.bundle(yard.config("sh", "-c", "echo out; echo err >&2; exit 42")), "box").code == 42
    pidless = yard.config("sh", "-c", "kill -9 $$")
    pidless["linux"]["namespaces"] = [space for space in pidless["linux"]["namespaces"] if space["type"] != "pid"]
    assert oci("run", "-b", yard.bundle(pidless), "box").code == 128 + 9
    assert oci.ok("list", "-q") == ""


def test_streams_of_a_foreground_container_are_carried_whole(yard: Yard, oci: Oci):
    """Input to its end, output to its end, each to its own stream."""
    text = "".join(f"{number}\n" for number in range(50_000))
    done = oci("run", "-b", yard.bundle(yard.config("sh", "-c", "cat; echo done >&2")), "box", input=text)
    assert (done.code, done.out, done.err) == (0, text, "done\n")


def test_keep_leaves_the_container(yard: Yard, oci: Oci):
    assert oci("run", "--keep", "-b", yard.bundle(yard.config("true")), "box").code == 0
    assert oci.state()["status"] == "stopped"
    oci.ok("delete", "box")


def test_signals_of_run_reach_the_container(yard: Yard, oci: Oci):
    """SIGTERM to the command is the container's SIGTERM, not the command's end."""
    program = 'trap "echo told; exit 7" TERM; echo ready; while :; do sleep 0.05; done'
    bundle = yard.bundle(yard.config("sh", "-c", program))
    with subprocess.Popen(oci.argv("run", "-b", bundle, "box"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        assert process.wait(10) == 7


def test_an_interrupted_creation_is_undone(yard: Yard, oci: Oci):
    """A signal while a hook hangs ends the command with 128+n, and nothing is left."""
    config = yard.config("true")
    mark = yard.path / "hook.pid"
    script = f"echo $$ > {mark}; exec sleep 100"
    config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]}
    process = subprocess.Popen(
        oci.argv("create", "-b", yard.bundle(config), "box"), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    with process:
        eventually("the hook", lambda: mark.exists() and mark.read_text())
        assert oci.state()["status"] == "creating"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
    assert yard.groups() == []
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


def test_pid_files_are_written_whole(yard: Yard, oci: Oci):
    """With the pid as the runtime sees it, and no newline."""
    pid_file = yard.path / "box.pid"
    oci.run(yard.bundle(yard.config("sleep", "100")), "box", "--pid-file", str(pid_file))
    assert pid_file.read_text() == str(oci.state()["pid"])
    assert [entry.name for entry in yard.path.glob(".*pid")] == []
    oci.ok("delete", "--force", "box")


def test_exec(yard: Yard, oci: Oci):
    """The container's process is the base; flags change it; the exit code is the process's."""
    oci.run(yard.bundle(yard.config("sleep", "100", env=["PATH=/bin", "KEPT=1"], cwd="/tmp")))
    assert oci("exec", "box", "sh", "-c", "exit 9").code == 9
    assert oci.ok("exec", "box", "sh", "-c", "pwd; echo $KEPT; id -u") == "/tmp\n1\n0\n"
    said = oci.ok(
        *("exec", "--cwd", "/etc", "-e", "NEW=2", "--user", "1000:5", "-g", "7", "box"),
        *("sh", "-c", "pwd; echo $NEW; id -u; id -g; id -G; hostname"),
    )
    assert said == "/etc\n2\n1000\n5\n5 7\nyard\n"
    assert oci("exec", "box", "cat", input="in").out == "in"
    oci.ok("delete", "-f", "box")


def test_exec_by_process_file_detached(yard: Yard, oci: Oci):
    """What containerd's shim and conmon do."""
    oci.run(yard.bundle(yard.config("sleep", "100")))
    process = yard.config("sh", "-c", "sleep 100")["process"]
    (yard.path / "process.json").write_text(json.dumps(process))
    pid_file = yard.path / "exec.pid"
    done = oci.quiet("exec", "--process", yard.path / "process.json", "--detach", "--pid-file", pid_file, "box")
    assert done.code == 0, done.err
    pids = json.loads(oci.ok("ps", "--format", "json", "box"))
    assert int(pid_file.read_text()) in pids
    assert oci.state()["pid"] in pids
    oci.ok("kill", "--all", "box", "KILL")
    eventually("the end of all", lambda: oci.state()["status"] == "stopped")
    oci.ok("delete", "--force", "box")


def test_exec_in_a_created_container(yard: Yard, oci: Oci):
    oci.create(yard.bundle(yard.config("sleep", "100")))
    assert oci.ok("exec", "box", "echo", "early") == "early\n"
    assert oci.state()["status"] == "created"
    oci.ok("delete", "box")


def test_pause_and_resume(yard: Yard, oci: Oci):
    """A paused container is ``paused``, refuses an exec, and goes on afterwards."""
    oci.run(yard.bundle(yard.config("sleep", "100")))
    oci.ok("pause", "box")
    assert oci.state()["status"] == "paused"
    assert oci("exec", "box", "true").code == 255
    assert oci("pause", "box").message == "container not running"
    oci.ok("resume", "box")
    assert oci.state()["status"] == "running"
    assert oci("resume", "box").message == "container not paused"
    oci.ok("pause", "box")
    oci.ok("delete", "--force", "box")


def test_list_shows_all_containers(yard: Yard, oci: Oci):
    oci.create(yard.bundle(yard.config("true"), "one"), "one")
    oci.run(yard.bundle(yard.config("sleep", "100"), "two"), "two")
    assert oci.ok("list", "-q") == "one\ntwo\n"
    listed = json.loads(oci.ok("list", "--format", "json"))
    assert [(item["id"], item["status"], item["owner"]) for item in listed] == [
        ("one", "created", "root"),
        ("two", "running", "root"),
    ]
    head, *rows = oci.ok("list").splitlines()
    assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert [row.split()[0] for row in rows] == ["one", "two"]
    for name in ("one", "two"):
        oci.ok("delete", "-f", name)


def test_ps_shows_the_containers_processes_alone(yard: Yard, oci: Oci):
    oci.run(yard.bundle(yard.config("sh", "-c", "sleep 100 & wait")))
    eventually("both", lambda: len(json.loads(oci.ok("ps", "-f", "json", "box"))) == 2)
    title, *lines = oci.ok("ps", "box", "-o", "pid,args").splitlines()
    assert title.split() == ["PID", "COMMAND"]
    assert sorted(line.split(None, 1)[1] for line in lines) == ["sh -c sleep 100 & wait", "sleep 100"]
    oci.ok("delete", "-f", "box")


def test_update_changes_limits_and_keeps_the_others(yard: Yard, oci: Oci):
    config = yard.config("sleep", "100")
    config["linux"]["resources"] = {"cpu": {"quota": 50000, "period": 100000}}
    oci.run(yard.bundle(config))
    oci.ok("update", "--pids-limit", "77", "--cpu-quota", "20000", "box")
    oci.ok("update", "-r", "-", "box", input='{"memory": {"limit": 52428800}}')
    found = json.loads((oci.root / "box/state.json").read_text())["config"]["linux"]["resources"]
    assert found["cpu"] == {"quota": 20000, "period": 100000}
    assert found["memory"] == {"limit": 52428800}
    stats = json.loads(oci.ok("events", "--stats", "box"))
    assert stats["type"] == "stats"
    assert stats["data"]["memory"]["usage"]["limit"] == 52428800
    assert stats["data"]["pids"]["limit"] == 77
    assert oci("update", "--memory", "much", "box").message == "invalid value for memory: invalid size: 'much'"
    oci.ok("delete", "-f", "box")


def test_events_tell_of_oom_kills_and_end_with_the_container(yard: Yard, oci: Oci):
    config = yard.config("sh", "-c", "sleep 3; dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 0.5")
    config["linux"]["resources"] = {"memory": {"limit": 20 << 20, "swap": 20 << 20}}
    oci.run(yard.bundle(config))
    with subprocess.Popen(
        oci.argv("events", "--interval", "200ms", "box"), stdout=subprocess.PIPE, text=True
    ) as events:
        said, _ = events.communicate(timeout=20)
    kinds = [json.loads(line)["type"] for line in said.splitlines()]
    assert "oom" in kinds
    assert "stats" in kinds
    oci.ok("delete", "-f", "box")


def test_a_reused_pid_is_not_taken_for_the_container(yard: Yard, oci: Oci):
    """Init is named by its pid and its start time."""
    oci.run(yard.bundle(yard.config("sleep", "100")))
    path = oci.root / "box/state.json"
    record = json.loads(path.read_text())
    pid = record["pid"]
    path.write_text(json.dumps({**record, "pid": os.getpid()}))
    assert oci.state()["status"] == "stopped"
    assert oci("kill", "box").message == "container not running"
    path.write_text(json.dumps({**record, "pid": pid}))
    assert oci.state()["status"] == "running"
    oci.ok("delete", "-f", "box")


def test_the_configuration_of_the_time_of_creation_counts(yard: Yard, oci: Oci):
    """runtime-spec: changes of config.json after create have no effect."""
    bundle = yard.bundle(yard.config("sleep", "100", env=["PATH=/bin", "WAS=old"]))
    oci.create(bundle)
    yard.bundle(yard.config("nonsense", env=["PATH=/bin", "WAS=new"]))
    oci.ok("start", "box")
    assert oci.ok("exec", "box", "sh", "-c", "echo $WAS") == "old\n"
    oci.ok("delete", "-f", "box")


def test_no_time_is_lost_by_start(yard: Yard, oci: Oci):
    """``start`` returns when the program runs: what it has done first is there."""
    oci.create(yard.bundle(yard.config("sleep", "100")))
    pid = oci.state()["pid"]
    oci.ok("start", "box")
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00100\x00"
    oci.ok("delete", "-f", "box")
