"""Configurations and moments that cannot work: runc's exit code, one line that says why, and everything undone.

What has been made is looked for by the ``yard`` at the end of each test: state, control groups, mounts, processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oci.yard import Oci, Yard

pytestmark = pytest.mark.root

Change = Callable[[dict[str, Any]], Any]


def _without(*path: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        for name in path[:-1]:
            config = config[name]
        del config[path[-1]]

    return change


def _with(value: Any, *path: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        for name in path[:-1]:
            config = config.setdefault(name, {})
        config[path[-1]] = value

    return change


# What the configuration says wrong, and what is said of it; runc 1.1 says the same unless noted.
SAME_AS_RUNC: dict[str, tuple[Change, str]] = {
    "no process": (_without("process"), "process property must not be empty"),
    "no program": (_with([], "process", "args"), "args must not be empty"),
    "no directory": (_without("process", "cwd"), "Cwd property must not be empty"),
    "relative directory": (_with("tmp", "process", "cwd"), "Cwd must be an absolute path"),
    "no root": (_without("root"), "root must be specified"),
    "version of another type": (
        _with(3, "ociVersion"),
        "json: cannot unmarshal number into Go struct field Spec.ociVersion of type string",
    ),
    "uid below zero": (
        _with(-1, "process", "user", "uid"),
        "json: cannot unmarshal number -1 into Go struct field User.process.user.uid of type uint32",
    ),
    "mounts that are no list": (
        _with("x", "mounts"),
        "json: cannot unmarshal string into Go struct field Spec.mounts of type []specs.Mount",
    ),
    "arguments of another type": (
        _with([1], "process", "args"),
        "json: cannot unmarshal number into Go struct field Process.process.args of type string",
    ),
    "unknown namespace": (
        _with([{"type": "dream"}], "linux", "namespaces"),
        'namespace {"dream" ""} does not exist',
    ),
    "a namespace twice": (
        _with([{"type": "pid"}, {"type": "pid"}], "linux", "namespaces"),
        'malformed spec file: duplicated ns {"pid" ""}',
    ),
    "a host name without its namespace": (
        _with([{"type": "pid"}, {"type": "mount"}], "linux", "namespaces"),
        "unable to set hostname without a private UTS namespace",
    ),
    "a user namespace without maps": (
        lambda config: config["linux"]["namespaces"].append({"type": "user"}),
        "User namespaces enabled, but no uid mappings found.",
    ),
    "unknown rlimit": (
        _with([{"type": "RLIMIT_HOPE", "soft": 1, "hard": 1}], "process", "rlimits"),
        "wrong rlimit value: RLIMIT_HOPE",
    ),
    "unknown device type": (
        _with([{"path": "/dev/x", "type": "z"}], "linux", "devices"),
        'invalid device type "z"',
    ),
    "a device rule without access": (
        _with([{"allow": True, "type": "c"}], "linux", "resources", "devices"),
        "device access at 0 field cannot be empty",
    ),
    "unknown propagation": (
        _with("widely", "linux", "rootfsPropagation"),
        "rootfsPropagation=widely is not supported",
    ),
    "a sysctl of the host": (
        _with({"kernel.panic": "1"}, "linux", "sysctl"),
        'sysctl "kernel.panic" is not in a separate kernel namespace',
    ),
    "unknown seccomp action": (
        _with({"defaultAction": "SCMP_ACT_HOPE"}, "linux", "seccomp"),
        "string SCMP_ACT_HOPE is not a valid action for seccomp",
    ),
    "a label without SELinux": (
        _with("a:b:c", "process", "selinuxLabel"),
        "selinux label is specified in config, but selinux is disabled or not supported",
    ),
}


@pytest.mark.parametrize("what", SAME_AS_RUNC)
def test_a_configuration_that_cannot_be(yard: Yard, oci: Oci, reference: Oci, what: str):
    """Nothing is made; the words are runc's."""
    change, words = SAME_AS_RUNC[what]
    if what == "a label without SELinux" and os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is enabled")
    config = yard.config("true")
    change(config)
    bundle = yard.bundle(config)
    ours, theirs = (runtime("create", "-b", bundle, "box") for runtime in (oci, reference))
    assert ours.message == f"wherry-oci create failed: {words}"
    assert theirs.message == f"runc create failed: {words}"
    assert ours.code == theirs.code == 1
    assert not (oci.root / "box").exists()


STRICTER: dict[str, tuple[Change, str]] = {
    "no version": (_without("ociVersion"), "ociVersion must be specified"),
    "a version to come": (_with("2.0.0", "ociVersion"), 'unsupported ociVersion "2.0.0": 1.x is supported'),
    "an rlimit twice": (
        _with([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2, "process", "rlimits"),
        "rlimit RLIMIT_CORE is specified twice",
    ),
    "a hook with a relative path": (
        _with([{"path": "true"}], "hooks", "poststop"),
        'poststop hook #0: path "true" is not absolute',
    ),
    "a hook without time": (
        _with([{"path": "/bin/true", "timeout": 0}], "hooks", "prestart"),
        "prestart hook #0: timeout must be greater than zero",
    ),
    "a mount without a place": (
        lambda config: config["mounts"].append({"type": "tmpfs", "destination": ""}),
        "destination must be specified",
    ),
}


@pytest.mark.parametrize("what", STRICTER)
def test_what_the_schema_forbids_and_runc_lets_pass(yard: Yard, oci: Oci, what: str):
    change, words = STRICTER[what]
    config = yard.config("true")
    change(config)
    done = oci("run", "-b", yard.bundle(config), "box")
    assert done.code == 1
    assert done.message.startswith("wherry-oci run failed: ")
    assert done.message.endswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "{bad",
        '{"ociVersion": "1.0.0",}',
        '{"a" 1}',
        '{"a": tru}',
        '["a" "b"]',
        "[1, 2",
        '{"a": "\n"}',
        '{"a": 01}',
        "",
        "x",
    ],
)
def test_a_file_that_is_not_json(yard: Yard, oci: Oci, reference: Oci, text: str):
    bundle = yard.bundle(text)
    ours, theirs = (runtime("create", "-b", bundle, "box") for runtime in (oci, reference))
    assert ours.message.removeprefix("wherry-oci ") == theirs.message.removeprefix("runc ")
    assert ours.code == theirs.code == 1


def test_an_unknown_capability_is_a_warning(yard: Yard, oci: Oci, reference: Oci):
    """runtime-spec 1.2: what cannot be granted MUST be logged as a warning; runc does so too."""
    config = yard.config("echo", "runs")
    config["process"]["capabilities"]["bounding"].append("CAP_HOPE")
    bundle = yard.bundle(config)
    for runtime in (oci, reference):
        done = runtime("run", "-b", bundle, "box")
        assert (done.code, done.out) == (0, "runs\n")
        assert 'level=warning msg="ignoring unknown or unavailable capabilities: [CAP_HOPE]"' in done.err


@pytest.mark.parametrize("path", ["../../../escaped", "/../../escaped", "a/../../../escaped"])
def test_a_cgroup_path_does_not_escape(yard: Yard, oci: Oci, path: str):
    """It ends at the top of the hierarchy, or is refused; never is anything made outside."""
    config = yard.config("true")
    config["linux"]["cgroupsPath"] = path.replace("escaped", yard.cgroup[1:] + "/escaped")
    done = oci("run", "-b", yard.bundle(config), "box")
    assert done.code in (0, 1), done.err
    for top in (Path("/sys"), Path("/sys/fs"), Path("/")):
        assert not (top / yard.cgroup[1:]).exists()


def test_an_id_that_is_used(yard: Yard, oci: Oci, reference: Oci):
    """The container that has it is not touched."""
    for runtime in (oci, reference):
        runtime.run(yard.bundle(yard.config("sleep", "100")))
        before = runtime.state()
        done = runtime("run", "-b", yard.bundle(yard.config("true")), "box")
        assert done.code == 1
        assert done.message.endswith(" run failed: container with given ID already exists")
        assert runtime.state() == before
        runtime.ok("delete", "-f", "box")


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a b", "ä", "*", "", "a" * 300])
def test_an_id_that_is_none(yard: Yard, oci: Oci, name: str):
    bundle = yard.bundle(yard.config("true"))
    for verb in (["create", "-b", str(bundle)], ["state"], ["delete", "--force"], ["start"]):
        done = oci(*verb, name)
        assert done.code == 1
        words = "container id cannot be empty" if not name else "invalid container ID format"
        assert done.message.endswith(words)


def test_a_bundle_without_root(yard: Yard, oci: Oci, reference: Oci):
    """A root that is not there, and one that is only a link to one."""
    config = yard.config("true")
    config["root"]["path"] = "nowhere"
    bundle = yard.bundle(config)
    ours, theirs = (runtime("create", "-b", bundle, "box") for runtime in (oci, reference))
    assert ours.message.removeprefix("wherry-oci") == theirs.message.removeprefix("runc")
    assert ours.message.endswith(f"invalid rootfs: stat {bundle}/nowhere: no such file or directory")
    (bundle / "nowhere").symlink_to(yard.rootfs)
    ours, theirs = (runtime("create", "-b", bundle, "box") for runtime in (oci, reference))
    assert ours.message.removeprefix("wherry-oci") == theirs.message.removeprefix("runc")
    (bundle / "nowhere").unlink()
    (bundle / "nowhere").write_text("a file")
    assert oci("create", "-b", bundle, "box").message.endswith(f"invalid rootfs: {bundle}/nowhere: not a directory")


def test_a_bundle_that_is_none(yard: Yard, oci: Oci, reference: Oci):
    """No directory, and one without a configuration."""
    for bundle in (yard.path / "nowhere", yard.bundle(None)):
        ours, theirs = (runtime("create", "-b", bundle, "box") for runtime in (oci, reference))
        assert ours.message.removeprefix("wherry-oci") == theirs.message.removeprefix("runc")
        assert ours.code == theirs.code == 1


@pytest.mark.parametrize("where", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_a_hook_that_hangs(yard: Yard, oci: Oci, where: str):
    """It is killed when its time is up, with what it has started."""
    words = ["sleep", str(100_000 + os.getpid())]
    script = f"{' '.join(words)} & {' '.join(words)}"
    config = yard.config("true")
    config["hooks"] = {where: [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"], "timeout": 1}]}
    done = oci("run", "-b", yard.bundle(config), "box")
    assert done.code == 1
    assert done.message.endswith(f"error running {where} hook #0: hook ran past specified timeout of 1.0s")
    assert "\0".join(words) not in _command_lines()


def _command_lines() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(entry.read_text(errors="replace").rstrip("\0"))
    return found


def test_init_died_between_create_and_start(yard: Yard, oci: Oci, reference: Oci):
    """The container is stopped, ``start`` says so, ``delete`` works."""
    for runtime in (oci, reference):
        runtime.create(yard.bundle(yard.config("sleep", "100")))
        os.kill(runtime.state()["pid"], signal.SIGKILL)
        runtime.wait_for("stopped")
        done = runtime("start", "box")
        assert (done.code, done.message) == (1, "cannot start a container that has stopped")
        runtime.ok("delete", "box")


def test_the_creating_command_is_killed(yard: Yard, oci: Oci):
    """What it leaves can be deleted, and the id used again."""
    config = yard.config("true")
    config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "3"]}]}
    bundle = yard.bundle(config)
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execv(oci.program, oci.argv("create", "-b", bundle, "box"))
    deadline = time.monotonic() + 10
    while not (oci.root / "box/state.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    oci.wait_for("stopped")
    oci.ok("delete", "box")
    del config["hooks"]
    assert oci("run", "-b", yard.bundle(config), "box").code == 0


def test_a_directory_without_a_record_is_deleted_by_force(yard: Yard, oci: Oci):
    (oci.root / "box").mkdir(parents=True)
    assert oci("state", "box").message == "container does not exist"
    assert oci("delete", "--force", "box").code == 0
    assert not (oci.root / "box").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nonsense"], 'exec: "nonsense": executable file not found in $PATH'),
        (["/etc/plain"], 'exec: "/etc/plain": permission denied'),
        (["/nowhere"], 'exec: "/nowhere": stat /nowhere: no such file or directory'),
    ],
)
def test_a_program_that_is_none(yard: Yard, oci: Oci, reference: Oci, args: list[str], words: str):
    """Known at ``create`` already."""
    bundle = yard.bundle(yard.config(*args))
    for runtime in (oci, reference):
        done = runtime("create", "-b", bundle, "box")
        assert done.code == 1
        assert done.message.endswith(f" create failed: unable to start container process: {words}")


def test_terminals_and_sockets_must_agree(yard: Yard, oci: Oci, reference: Oci):
    with_terminal = yard.bundle(yard.config("true", terminal=True), "with")
    without = yard.bundle(yard.config("true"), "without")
    for words in (
        ["create", "-b", str(with_terminal), "box"],
        ["create", "-b", str(without), "--console-socket", "/nowhere", "box"],
        ["run", "-b", str(with_terminal), "--console-socket", "/nowhere", "box"],
        ["create", "-b", str(with_terminal), "--console-socket", "/nowhere", "box"],
    ):
        ours, theirs = (runtime(*words) for runtime in (oci, reference))
        assert ours.message.removeprefix("wherry-oci") == theirs.message.removeprefix("runc")
        assert ours.code == theirs.code == 1


def test_a_pid_file_that_cannot_be_written(yard: Yard, oci: Oci):
    """The container does not stay without it."""
    done = oci("run", "-d", "--pid-file", yard.path / "no/where", "-b", yard.bundle(yard.config("sleep", "100")), "box")
    assert done.code == 1
    assert done.message.endswith("no such file or directory")


def test_a_console_socket_that_hangs_up(yard: Yard, oci: Oci):
    """Who does not take the terminal gets no container."""
    path = yard.path / "console"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    done = oci("create", "--console-socket", path, "-b", yard.bundle(yard.config("true", terminal=True)), "box")
    assert done.code == 1
    assert "connection refused" in done.message


def test_a_cgroup_that_others_use(yard: Yard, oci: Oci):
    """Its end would be theirs."""
    config = yard.config("sleep", "100")
    oci.run(yard.bundle(config), "first")
    done = oci("run", "-b", yard.bundle(config), "second")
    assert done.message.endswith("container's cgroup is not empty: 1 process(es) found")
    assert oci.state("first")["status"] == "running"
    oci.ok("delete", "-f", "first")


def test_errors_are_in_the_log_too(yard: Yard, oci: Oci):
    """One line on stderr and one in ``--log``, as containerd's shim reads it."""
    log = yard.path / "log.json"
    oci.options = ["--log", str(log), "--log-format", "json"]
    done = oci("create", "-b", yard.bundle(yard.config("nonsense")), "box")
    reason = 'exec: "nonsense": executable file not found in $PATH'
    words = f"wherry-oci create failed: unable to start container process: {reason}"
    assert done.err == f"{words}\n"
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["msg"]) == ("error", words)
