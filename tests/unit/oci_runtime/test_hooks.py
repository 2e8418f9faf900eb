"""Hooks as processes; what they mean for a container is tested in tests/oci."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from wherry.runtime import hooks
from wherry.runtime.init_errors import StartError


def _sh(script: str, **fields) -> dict:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"], **fields}


def test_in_order_with_the_state_on_stdin(tmp_path: Path):
    record = tmp_path / "record"
    hooks.run([_sh(f"cat >> {record}"), _sh(f"echo; cat >> {record}")], {"id": "x"}, where="prestart")
    assert record.read_text() == '{"id":"x"}' * 2


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (_sh("echo a; echo b >&2; exit 3"), "exit status 3, stdout: a, stderr: b"),
        (_sh("kill -9 $$"), "signal: 9, stdout: , stderr: "),
        ({"path": "/no/where"}, "fork/exec /no/where: no such file or directory"),
        ({"path": "/etc/passwd"}, "fork/exec /etc/passwd: permission denied"),
        (_sh("sleep 100", timeout=1), "hook ran past specified timeout of 1.0s"),
    ],
)
def test_failures(hook, words):
    with pytest.raises(StartError) as caught:
        hooks.run([_sh("true"), hook, _sh("exit 9")], {}, where="createRuntime")
    assert str(caught.value) == f"error running createRuntime hook #1: {words}"


def test_a_background_process_does_not_hold_its_hook(tmp_path: Path):
    """The hook has ended when its first process has, whoever still has its pipes."""
    pid_file = tmp_path / "pid"
    before = time.monotonic()
    hooks.run([_sh(f"sleep 100 & echo $! > {pid_file}; echo said")], {}, where="prestart")
    assert time.monotonic() - before < 50
    os.kill(int(pid_file.read_text()), 9)


def test_much_is_said_and_little_is_told():
    with pytest.raises(StartError) as caught:
        hooks.run([_sh("yes | head -c 1000000; exit 1")], {"long": "x" * 300_000}, where="prestart")
    assert len(str(caught.value)) < 10_000


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As listed; unlisted it is ours, but for those in the container."""
    monkeypatch.setenv("OURS", "here")
    record = tmp_path / "record"
    script = f"/usr/bin/env > {record}"
    for environment, where, expected in (
        (["ONLY=1"], "prestart", {"ONLY=1"}),
        ([], "prestart", set()),
        (None, "prestart", {"OURS=here"}),
        (None, "createContainer", set()),
    ):
        hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
        hooks.run([hook if environment is None else {**hook, "env": environment}], {}, where=where)
        lines = {line for line in record.read_text().splitlines() if line.startswith(("ONLY=", "OURS="))}
        assert lines == expected


def test_no_descriptor_but_the_standard_ones(tmp_path: Path):
    record = tmp_path / "record"
    descriptor = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    hooks.run([_sh(f"exec ls /proc/self/fd > {record}")], {}, where="prestart")
    os.close(descriptor)
    assert record.read_text().split() == ["0", "1", "2", "3"]  # the last is of ls
