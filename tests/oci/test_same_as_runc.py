"""The same command lines to runc and to us: the same output, the same words, the same exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from oci.yard import Oci, Outcome, Yard

pytestmark = pytest.mark.root

# Each acts on a container ``box`` in the given state; "" is none at all.
LINES = [
    ("", "state box"),
    ("", "state"),
    ("", "state a b"),
    ("", "start box"),
    ("", "kill box"),
    ("", "delete box"),
    ("", "delete --force box"),
    ("", "exec box true"),
    ("", "exec"),
    ("", "pause box"),
    ("", "ps box"),
    ("", "update box"),
    ("", "events --stats box"),
    ("", "list -q"),
    ("", "list"),
    ("", "list -f json"),
    ("", "list -f yaml"),
    ("", "list --quiet=maybe"),
    ("", "create"),
    ("", "create --nonsense box"),
    ("", "create --bundle"),
    ("", "create a/b"),
    ("", "create .."),
    ("", "state a*b"),
    ("", "nonsense"),
    ("", "run --preserve-fds many box"),
    ("created", "exec box echo hello"),
    ("created", "exec box"),
    ("created", "ps -f json box"),
    ("created", "resume box"),
    ("created", "delete box"),
    ("running", "start box"),
    ("running", "delete box"),
    ("running", "delete -f box"),
    ("running", "kill box NONSENSE"),
    ("running", "kill box 999"),
    ("running", "kill box 0"),
    ("running", "kill box usr1x"),
    ("running", "kill --all box sigcont"),
    ("running", "exec box nonsense"),
    ("running", "exec box /etc/plain"),
    ("running", "exec box /nonsense"),
    ("running", "exec --user nobody box true"),
    ("running", "exec --user 1:x box true"),
    ("running", "exec -g=-5 box true"),
    ("running", "exec --cwd relative box true"),
    ("running", "exec -t -d box true"),
    ("running", "exec --console-socket /nonsense box true"),
    ("running", "exec -p /nonsense box"),
    ("running", "exec -e A=1 -e B=2 box sh -c 'echo $A $B'"),
    ("running", "exec box sh -c 'echo -n out; echo -n err >&2; exit 77'"),
    ("running", "exec box sh -c 'kill -9 $$'"),
    ("running", "exec box cat /proc/self/status"),
    ("running", "exec --cap CAP_NET_ADMIN box sh -c 'grep Cap /proc/self/status'"),
    ("running", "exec --no-new-privs=false box grep NoNewPrivs /proc/self/status"),
    ("running", "ps --format yaml box"),
    ("running", "ps box -o nonsense"),
    ("running", "ps box -o args"),
    ("running", "update --memory nonsense box"),
    ("running", "update --cpu-share nonsense box"),
    ("running", "update --cpu-quota nonsense box"),
    ("running", "update -r /nonsense box"),
    ("running", "update --l3-cache-schema L3:0=1 box"),
    ("running", "update --pids-limit 100 box"),
    ("running", "events --interval 0 box"),
    ("running", "events --interval soon box"),
    ("running", "resume box"),
    ("stopped", "start box"),
    ("stopped", "kill box"),
    ("stopped", "kill --all box"),
    ("stopped", "exec box true"),
    ("stopped", "pause box"),
    ("stopped", "ps box"),
    ("stopped", "update box"),
    ("stopped", "events --stats box"),
    ("stopped", "delete box"),
    ("paused", "start box"),
    ("paused", "delete box"),
    ("paused", "pause box"),
    ("paused", "exec box true"),
    ("paused", "kill box KILL"),
    ("paused", "resume box"),
]


@pytest.mark.parametrize(("state", "line"), LINES, ids=[f"{line} ({state or 'none'})" for state, line in LINES])
def test_the_same_line(yard: Yard, oci: Oci, reference: Oci, state: str, line: str):
    ours, theirs = (_try(yard, runtime, state, line) for runtime in (oci, reference))
    assert ours == theirs


@pytest.mark.parametrize("kind", ["text", "json"])
def test_the_log(yard: Yard, oci: Oci, reference: Oci, kind: str):
    """An error goes to the log in its format, and to stderr as it is."""
    said = []
    for runtime in (oci, reference):
        log = yard.path / "log"
        runtime.options = ["--log", str(log), "--log-format", kind]
        done = runtime("state", "nonsense")
        said.append((done, re.sub(r"\d{4}-[^\"]+Z", "TIME", log.read_text())))
        log.unlink()
    assert said[0] == said[1]
    assert "container does not exist" in said[0][1]


def test_an_unknown_format_of_the_log(oci: Oci, reference: Oci):
    for runtime in (oci, reference):
        runtime.options = ["--log-format", "xml"]
    assert oci("list").message == reference("list").message == "invalid log-format: xml"


@pytest.mark.parametrize("state", ["created", "running", "stopped", "paused"])
def test_state(yard: Yard, oci: Oci, reference: Oci, state: str):
    """The same fields, in the same order and layout."""
    shown = []
    for runtime in (oci, reference):
        _enter(yard, runtime, state)
        shown.append(runtime.ok("state", "box"))
        _leave(runtime)
    ours, theirs = (json.loads(text) for text in shown)
    assert list(ours) == list(theirs)
    assert [re.sub(r'": .*', "", line) for line in shown[0].splitlines()] == [
        re.sub(r'": .*', "", line) for line in shown[1].splitlines()
    ]
    for fields in (ours, theirs):
        fields["pid"] = bool(fields["pid"])
        for name in ("created", "ociVersion"):
            del fields[name]
    assert ours == theirs


def test_stats(yard: Yard, oci: Oci, reference: Oci):
    """The same tree of names; ours leaves out what the kernel counts per processor and mode."""
    shown = []
    for runtime in (oci, reference):
        _enter(yard, runtime, "running")
        shown.append(json.loads(runtime.ok("events", "--stats", "box")))
        _leave(runtime)
    ours, theirs = shown
    for name in ("percpu_kernel", "percpu_user"):
        for tree in shown:
            tree["data"]["cpu"]["usage"].pop(name, None)
    assert _names(ours) == _names(theirs)


def _names(tree: object) -> object:
    return {name: _names(value) for name, value in tree.items()} if isinstance(tree, dict) else None


def _try(yard: Yard, runtime: Oci, state: str, line: str) -> Outcome:
    words = _split(line)
    if state:
        _enter(yard, runtime, state)
    try:
        return _same(runtime(*words, cwd=yard.path))
    finally:
        if state:
            _leave(runtime)


def _enter(yard: Yard, runtime: Oci, state: str) -> None:
    bundle = yard.bundle(yard.config("sleep", "100"))
    runtime.create(bundle)
    if state != "created":
        runtime.ok("start", "box")
    if state == "stopped":
        runtime.ok("kill", "box", "KILL")
        runtime.wait_for("stopped")
    if state == "paused":
        runtime.ok("pause", "box")


def _leave(runtime: Oci) -> None:
    runtime("delete", "--force", "box")


def _split(line: str) -> list[str]:
    return [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]


def _same(done: Outcome) -> Outcome:
    """Without what must differ: the program's name, times, pids, and the help text below a usage error."""
    out = done.out.partition("\n\nNAME:")[0]
    changes: list[Callable[[str], str]] = [
        lambda text: re.sub(r'time="[^"]+"', "", text),
        lambda text: re.sub(r"wherry-oci|/[\w/]+/runc(?=:)", "runc", text),
        lambda text: re.sub(r"\b(state|reference)\b(?=/box)", "ROOT", text),
        # SigIgn: what make ignores of libc's own signals, runc hands on.
        lambda text: re.sub(
            r"(?m)^(Name|SigIgn|Pid|NSpid|Tgid|Ngid|NStgid|NSpgid|NSsid|Vm\w+|Rss\w+|\w*ctxt\w*|Mems_\w+|x86_\w+):.*$",
            "",
            text,
        ),
        lambda text: re.sub(r"^\[\d+\]$", "[PID]", text.strip()) if text.startswith("[") else text,
    ]
    err = done.err
    for change in changes:
        out, err = change(out), change(err)
    return Outcome(done.code, out, err)
