"""The six points at which hooks run, what they get, and what comes of their failures (runtime-spec, lifecycle)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oci.yard import Oci, Yard

pytestmark = pytest.mark.root

BEFORE = ("prestart", "createRuntime", "createContainer")
OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")


def _hook(script: str, *further: str, **fields: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script, "hook", *further], "env": ["PATH=/bin:/usr/bin"], **fields}


def _recording(yard: Yard, config: dict[str, Any]) -> None:
    """Each hook writes its name and its state; that of the container itself can only say that it was there."""
    record = yard.path / "record"
    script = f"printf '%s ' $1 >> {record}; cat >> {record}; echo >> {record}"
    config["hooks"] = {name: [_hook(script, name)] for name in (*OUTSIDE, "createContainer")}


def test_when_they_run_and_what_they_see(yard: Yard, oci: Oci):
    """In the specification's order, each with the state of its moment."""
    config = yard.config("sleep", "100")
    config["annotations"] = {"some.key": "some value"}
    _recording(yard, config)
    record = yard.path / "record"
    bundle = yard.bundle(config)

    oci.create(bundle)
    pid = oci.state()["pid"]
    names, states = _read(record.read_text())
    assert names == ["prestart", "createRuntime", "createContainer"]
    for state in states[:2]:
        assert state == {
            "ociVersion": "1.2.0",
            "id": "box",
            "status": "creating",
            "pid": pid,
            "bundle": str(bundle),
            "annotations": {"some.key": "some value"},
        }
    assert states[2]["pid"] == 1  # in the container's own pid namespace

    oci.ok("start", "box")
    names, states = _read(record.read_text())
    assert names[3:] == ["poststart"]
    assert (states[3]["status"], states[3]["pid"]) == ("running", pid)

    oci.ok("delete", "--force", "box")
    names, states = _read(record.read_text())
    assert names[4:] == ["poststop"]
    assert states[4]["status"] == "stopped"


def _read(text: str) -> tuple[list[str], list[dict[str, Any]]]:
    pairs = [line.split(" ", 1) for line in text.splitlines()]
    return [name for name, _ in pairs], [json.loads(state) for _, state in pairs]


def test_hooks_of_start_run_in_the_container(yard: Yard, oci: Oci):
    """startContainer: after ``start``, before the program, by the container's own files."""
    config = yard.config("sh", "-c", "cat /tmp/mark; exec sleep 100")
    config["root"]["readonly"] = False
    script = "cat > /tmp/mark; hostname >> /tmp/mark"
    config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]}
    oci.create(yard.bundle(config))
    assert not (yard.rootfs / "tmp/mark").exists()
    oci.ok("start", "box")
    state, name = (yard.rootfs / "tmp/mark").read_text().rsplit("}", 1)
    assert json.loads(state + "}")["status"] == "created"
    assert name.strip() == "yard"
    oci.ok("delete", "-f", "box")
    (yard.rootfs / "tmp/mark").unlink()


@pytest.mark.parametrize("where", BEFORE)
def test_a_failure_before_the_program_undoes_all(yard: Yard, oci: Oci, where: str):
    """An error, the hooks behind it do not run, poststop does; its code and its output are told."""
    record = yard.path / "record"
    config = yard.config("true")
    config["hooks"] = {
        where: [_hook("echo out; echo err >&2; exit 3"), _hook(f"echo never >> {record}")],
        "poststop": [_hook(f"echo stop >> {record}")],
    }
    done = oci("create", "-b", yard.bundle(config), "box")
    assert done.code == 1
    assert done.message.endswith(f"error running {where} hook #0: exit status 3, stdout: out, stderr: err")
    assert record.read_text() == "stop\n"


def test_a_failure_at_start(yard: Yard, oci: Oci):
    """``start`` says so, and the program does not run."""
    config = yard.config("sleep", "100")
    config["hooks"] = {"startContainer": [{"path": "/bin/false"}]}
    oci.create(yard.bundle(config))
    done = oci("start", "box")
    assert done.code == 1
    assert done.message.startswith("error running startContainer hook #0: exit status 1")
    oci.wait_for("stopped")
    oci.ok("delete", "box")


@pytest.mark.parametrize("where", ["poststart", "poststop"])
def test_a_failure_afterwards_is_a_warning(yard: Yard, oci: Oci, where: str):
    """The remaining hooks run all the same (runtime-spec 1.2, lifecycle 9 and 13)."""
    record = yard.path / "record"
    config = yard.config("true")
    config["hooks"] = {where: [_hook("exit 1"), _hook(f"echo still >> {record}")]}
    done = oci("run", "-b", yard.bundle(config), "box")
    assert done.code == 0
    assert f'level=warning msg="error running {where} hook #0: exit status 1, stdout: , stderr: "' in done.err
    assert record.read_text() == "still\n"


def test_arguments_and_environment_are_as_given(yard: Yard, oci: Oci):
    """args[0] need not be the path; the environment is exactly what is listed."""
    record = yard.path / "record"
    config = yard.config("true")
    config["hooks"] = {
        "createRuntime": [
            {"path": "/bin/sh", "args": ["other", "-c", f"echo $0 >> {record}; env >> {record}"], "env": ["ONLY=this"]}
        ]
    }
    oci.ok("run", "-b", yard.bundle(config), "box")
    lines = record.read_text().splitlines()
    assert lines[0] == "other"
    assert "ONLY=this" in lines
    assert not [line for line in lines if line.startswith(("HOME=", "PATH="))]


def test_hooks_outside_are_in_the_runtimes_namespaces(yard: Yard, oci: Oci):
    """Not in those that the container's processes are born into."""
    record = yard.path / "record"
    config = yard.config("true")
    script = f"readlink /proc/self/ns/pid /proc/self/ns/mnt >> {record}"
    config["hooks"] = {name: [_hook(script)] for name in OUTSIDE}
    assert oci("run", "-b", yard.bundle(config), "box").code == 0
    ours = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("pid", "mnt")]
    assert record.read_text().split() == ours * 4


def test_a_hook_that_does_not_read_its_state(yard: Yard, oci: Oci):
    config = yard.config("true")
    config["annotations"] = {"long": "x" * 200_000}
    config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    assert oci("run", "-b", yard.bundle(config), "box").code == 0
