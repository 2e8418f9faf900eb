"""runtime.md: the state document and the operations, with their errors."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from conformance.bundle import args, bind, mounts, namespace, shell, top
from conformance.clauses import DEFINED, MAY, MUST, MUST_NOT, cases, clause
from conformance.container import alive
from conformance.probe import mounted
from conformance.runtime import Runtime
from conformance.yard import Scope, Yard
from support.commands import run

SEMVER = re.compile(r"\d+\.\d+\.\d+([-+].+)?")
LOOP = "trap 'exit 7' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.02; done"


@pytest.fixture(scope="module")
def life(shared: Scope) -> dict[str, Any]:
    """The state documents of one container, taken at each stage of its life."""
    one = shared(shell("while ! test -e /tmp/end; do sleep 0.02; done"), top(annotations={"org.example.key": "value"}))
    one.made(cwd=one.bundle.directory.parent, bundle=one.bundle.directory.name)
    stages = {"created": one.state()}
    one.started()
    stages["running"] = one.state()
    cwd = f"/proc/{stages['running']['pid']}/root/tmp"
    Path(cwd, "end").touch()
    stages["stopped"] = one.ended().state()
    return {"container": one, **stages}


STAGES = ("created", "running", "stopped")


# The state.


@clause("runtime.md#state", MUST, "ociVersion is there and is a version")
def test_state_version(life: dict[str, Any]) -> None:
    assert all(SEMVER.fullmatch(life[stage]["ociVersion"]) for stage in STAGES)


@clause("runtime.md#state", MUST, "id is the container's id")
def test_state_id(life: dict[str, Any]) -> None:
    assert [life[stage]["id"] for stage in STAGES] == [life["container"].id] * 3


@pytest.mark.parametrize(
    "stage",
    cases(
        "runtime.md#state",
        MUST,
        ("created", "status is created after create", "created"),
        ("running", "status is running after start", "running"),
        ("stopped", "status is stopped after the end", "stopped"),
    ),
)
def test_status(life: dict[str, Any], stage: str) -> None:
    assert life[stage]["status"] == stage


@pytest.mark.parametrize(
    "stage",
    cases(
        "runtime.md#state",
        MUST,
        ("created", "a created container has a pid", "created"),
        ("running", "a running container has a pid", "running"),
    ),
)
def test_pid(life: dict[str, Any], stage: str) -> None:
    assert isinstance(life[stage]["pid"], int)
    assert life[stage]["pid"] > 1


@clause("runtime.md#state", MUST, "bundle is an absolute path, whatever create was given")
def test_bundle_is_absolute(life: dict[str, Any]) -> None:
    assert {life[stage]["bundle"] for stage in STAGES} == {str(life["container"].bundle.directory)}


@clause("runtime.md#state", DEFINED, "annotations are those of the configuration")
def test_annotations(life: dict[str, Any]) -> None:
    assert life["running"]["annotations"]["org.example.key"] == "value"


@clause("runtime.md#state", MAY, "without annotations the property is absent or an empty map")
def test_no_annotations(box: Scope) -> None:
    assert not box().made().state().get("annotations")


@clause("runtime.md#state", MUST, "the document adheres to the JSON schema: required members, types, range of the pid")
def test_state_schema(life: dict[str, Any]) -> None:
    for stage in STAGES:
        state = life[stage]
        assert {"ociVersion", "id", "status", "bundle"} <= set(state)
        assert all(isinstance(state[name], str) for name in ("ociVersion", "id", "status", "bundle"))
        assert type(state.get("pid", 0)) is int
        assert state.get("pid", 0) >= 0
        assert all(isinstance(value, str) for value in state["annotations"].values())


@clause("runtime.md#scope-of-a-container", MUST, "whoever created a container can use the operations on it")
def test_every_operation_on_one_container(box: Scope) -> None:
    one = box(shell(LOOP)).made().started()
    one.told("ready")
    assert one.status == "running"
    assert one.kill("TERM").code == 0
    assert one.ended().delete().code == 0


# Query.


@clause("runtime.md#query-state", MUST, "without an id it is an error")
def test_state_without_id(runtime: Runtime) -> None:
    assert runtime("state").failed


@clause("runtime.md#query-state", MUST, "a container that does not exist is an error")
def test_state_of_nothing(runtime: Runtime) -> None:
    assert runtime("state", "no-such-container").failed


@clause("runtime.md#query-state", MUST, "the state is returned as JSON, one document")
def test_state_is_json(box: Scope, runtime: Runtime) -> None:
    one = box().made()
    assert isinstance(json.loads(runtime("state", one.id).out), dict)


# Create.


@clause("runtime.md#create", MUST, "without an id it is an error")
def test_create_without_id(box: Scope, runtime: Runtime) -> None:
    before = runtime.known()
    assert runtime("create", "--bundle", str(box().bundle.directory)).failed
    assert runtime.known() == before


@clause("runtime.md#create", MUST, "a bundle that does not exist is an error")
def test_create_without_bundle(box: Scope) -> None:
    one = box()
    assert one.create(bundle=f"{one.bundle.directory}-not").failed
    assert one.id not in one.runtime.known()


@clause("bundle.md#container-format", MUST, "the configuration is config.json in the bundle's root, and required")
def test_bundle_needs_config(box: Scope) -> None:
    one = box()
    (one.bundle.directory / "config.json").rename(one.bundle.directory / "elsewhere.json")
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause("bundle.md#container-format", DEFINED, "the root file system is the directory that root.path names")
def test_bundle_names_its_root(box: Scope) -> None:
    one = box(shell("cat /mark"))
    (one.bundle.rootfs / "mark").write_text("here\n")
    assert one.run().out == "here\n"


@clause("runtime.md#create", MUST, "an id in use is an error")
def test_id_in_use(box: Scope) -> None:
    first, second = box(shell(LOOP)), box()
    first.made()
    second.id = first.id
    assert second.create().failed


@clause("runtime.md#create", MUST_NOT, "an id in use makes no second container and leaves the first as it was")
def test_id_in_use_changes_nothing(box: Scope) -> None:
    first, second = box(shell(LOOP)), box()
    before = first.made().state()
    second.id = first.id
    second.create()
    assert first.state() == before


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", ".", "bad id", ""])
@clause("runtime.md#create", MUST, "an id that is not valid is an error and makes no container")
def test_id_not_valid(box: Scope, name: str) -> None:
    one = box()
    one.id = name
    known = one.runtime.known()
    assert one.create().failed
    assert one.runtime.known() == known


@clause("runtime.md#create", MUST, "a new container is there afterwards, with a process that is not the program yet")
def test_create_makes_a_container(box: Scope) -> None:
    one = box(shell(LOOP)).made()
    assert Path(f"/proc/{one.pid}").is_dir()
    assert b"ready" not in Path(f"/proc/{one.pid}/cmdline").read_bytes()


@clause("runtime.md#create", MUST_NOT, "process.args is not applied before start")
def test_program_waits_for_start(box: Scope, yard: Yard) -> None:
    folder = yard.folder("told")
    one = box(shell("touch /told/program"), mounts(bind("/told", folder))).made()
    assert list(folder.iterdir()) == []
    one.started().ended()
    assert [path.name for path in folder.iterdir()] == ["program"]


@pytest.fixture(scope="module")
def made(shared: Scope, yard: Yard) -> tuple[int, Scope]:
    """The pid of a container that is created and no more."""
    return shared(shell(LOOP), mounts(bind("/told", yard.folder("told")))).made().pid, shared


@pytest.mark.parametrize(
    "what",
    cases(
        "runtime.md#create",
        MUST,
        *(
            (name, f"it applies the configured {name}", name)
            for name in ("namespaces", "hostname", "mounts", "root", "cgroup")
        ),
    ),
)
def test_create_applies(made: tuple[int, Scope], yard: Yard, what: str) -> None:
    pid, _ = made
    points = mounted(Path(f"/proc/{pid}/mountinfo").read_text())
    assert {
        "namespaces": lambda: all(
            os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
            for kind in ("mnt", "pid", "uts", "ipc", "net")
        ),
        "hostname": lambda: run("nsenter", f"--uts=/proc/{pid}/ns/uts", "hostname").stdout == "conformance\n",
        "mounts": lambda: points["/told"].root.startswith("/") and points["/dev/shm"].kind == "tmpfs",
        "root": lambda: (
            Path(f"/proc/{pid}/root/bin/busybox").stat().st_size > 0 and not Path(f"/proc/{pid}/root/usr").exists()
        ),
        "cgroup": lambda: yard.cgroups.of(pid)["pids" if yard.cgroups.has("pids") else ""].startswith(yard.parent),
    }[what]()


@clause("runtime.md#create", MUST, "a property that cannot be applied is an error and makes no container")
def test_create_fails_whole(box: Scope, yard: Yard) -> None:
    one = box(mounts(bind("/data", "/no/such/source")))
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause("runtime.md#errors", MUST, "a failed create leaves no process, mount, group or record of the container")
def test_failed_create_leaves_nothing(box: Scope, yard: Yard) -> None:
    before = yard.leftovers()
    one = box(mounts(bind("/data", "/no/such/source")))
    one.create()
    assert [line for line in yard.leftovers() if line not in before] == []


@clause("runtime.md#create", DEFINED, "config.json changed afterwards has no effect on the container")
def test_config_is_read_once(box: Scope) -> None:
    one = box(args("/bin/echo", "first")).made()
    one.bundle.spec["process"]["args"] = ["/bin/echo", "second"]
    one.bundle.spec["hostname"] = "other"
    one.bundle.write()
    one.started().ended()
    assert one.output == "first\n"


# Start.


@clause("runtime.md#start", MUST, "without an id it is an error")
def test_start_without_id(runtime: Runtime) -> None:
    assert runtime("start").failed


@clause("runtime.md#start", MUST, "an id that nobody has is an error")
def test_start_of_nothing(runtime: Runtime) -> None:
    assert runtime("start", "no-such-container").failed


@clause("runtime.md#start", MUST, "the configured program is run, with its arguments")
def test_start_runs_the_program(box: Scope) -> None:
    one = box(args("/bin/echo", "a b", "", "c")).made().started().ended()
    assert one.output == "a b  c\n"


@clause("runtime.md#start", MUST, "starting a running container is an error")
def test_start_twice(box: Scope) -> None:
    assert box(shell(LOOP)).made().started().start().failed


@clause("runtime.md#start", MUST, "starting a running container has no effect on it")
def test_start_twice_changes_nothing(box: Scope) -> None:
    one = box(shell(LOOP)).made().started()
    one.told("ready")
    before = one.state()
    one.start()
    assert one.state() == before
    assert one.output == "ready\n"


@clause("runtime.md#start", MUST, "starting a stopped container is an error and does not run it again")
def test_start_of_a_stopped_one(box: Scope) -> None:
    one = box(args("/bin/echo", "once")).made().started().ended()
    assert one.start().failed
    assert one.status == "stopped"
    assert one.output == "once\n"


@clause("runtime.md#start", MUST, "without process in the configuration it is an error")
def test_start_without_process(box: Scope) -> None:
    one = box(lambda spec: spec.pop("process"))
    assert one.create().failed or one.start().failed


# Kill.


@clause("runtime.md#kill", MUST, "without an id it is an error")
def test_kill_without_id(runtime: Runtime) -> None:
    assert runtime("kill").failed


@clause("runtime.md#kill", MUST, "a stopped container is an error")
def test_kill_of_a_stopped_one(box: Scope) -> None:
    one = box().made().started().ended()
    assert one.kill("TERM").failed
    assert one.status == "stopped"


@pytest.mark.parametrize(
    "word",
    cases(
        "runtime.md#kill",
        MUST,
        ("name", "the signal is sent: given by its name", "USR1"),
        ("SIG", "the signal is sent: given with SIG", "SIGUSR1"),
        ("number", "the signal is sent: given by its number", "10"),
    ),
)
def test_kill_sends_the_signal(box: Scope, word: str) -> None:
    one = box(shell(LOOP)).made().started()
    one.told("ready")
    assert one.kill(word).code == 0
    one.told("usr1")
    assert one.status == "running"


@clause("runtime.md#kill", MUST, "a created container gets the signal too")
def test_kill_of_a_created_one(box: Scope) -> None:
    one = box(shell(LOOP)).made()
    assert one.kill("KILL").code == 0
    assert one.ended().output == ""


@clause("runtime.md#kill", MUST, "a signal that does not exist is an error and does nothing")
def test_kill_with_an_unknown_signal(box: Scope) -> None:
    one = box(shell(LOOP)).made().started()
    one.told("ready")
    assert one.kill("NOSUCH").failed
    assert one.status == "running"


# Delete.


@clause("runtime.md#delete", MUST, "without an id it is an error")
def test_delete_without_id(runtime: Runtime) -> None:
    assert runtime("delete").failed


@clause("runtime.md#delete", MUST, "an id that nobody has is an error")
def test_delete_of_nothing(runtime: Runtime) -> None:
    assert runtime("delete", "no-such-container").failed


@clause("runtime.md#delete", MUST, "a running container is an error, and stays as it was")
def test_delete_of_a_running_one(box: Scope) -> None:
    one = box(shell(LOOP)).made().started()
    before = one.state()
    assert one.delete().failed
    assert one.state() == before


@clause("runtime.md#delete", MUST, "a created container is an error, and stays as it was")
def test_delete_of_a_created_one(box: Scope) -> None:
    one = box(shell(LOOP)).made()
    before = one.state()
    assert one.delete().failed
    assert one.state() == before


@clause("runtime.md#delete", MUST, "what create made is deleted: record, process, control groups")
def test_delete_undoes_create(box: Scope, yard: Yard) -> None:
    one = box(shell(LOOP)).made().started()
    pid = one.pid
    assert yard.cgroups.groups(f"{yard.parent}/{one.id}") != []
    assert one.stop().delete().code == 0
    assert one.runtime("state", one.id).failed
    assert not alive(pid)
    assert yard.cgroups.groups(f"{yard.parent}/{one.id}") == []


@clause("runtime.md#delete", MUST_NOT, "what the container only used is not deleted: bind sources, joined namespaces")
def test_delete_spares_what_it_did_not_make(box: Scope, yard: Yard) -> None:
    folder = yard.folder("data")
    keeper = box(shell(LOOP)).made().started()
    net = f"/proc/{keeper.pid}/ns/net"
    one = box(shell("touch /data/file"), mounts(bind("/data", folder)), namespace("network", net)).made().started()
    assert one.ended().delete().code == 0
    assert (folder / "file").exists()
    assert keeper.status == "running"
    assert (one.bundle.directory / "config.json").exists()


@clause("runtime.md#delete", MAY, "a deleted container's id can be used again")
def test_id_can_be_used_again(box: Scope) -> None:
    one = box(args("/bin/echo", "again"))
    for _ in range(2):
        assert one.made().started().ended().delete().code == 0


# The lifecycle as a whole.


@clause("runtime.md#lifecycle", MUST, "a program that cannot be run is an error")
def test_no_such_program(box: Scope) -> None:
    assert box(args("/bin/no-such-program")).run().failed


@clause("runtime.md#lifecycle", MAY, "a container ends when its program exits, crashes or is killed")
def test_ways_to_end(box: Scope) -> None:
    ends = [shell("exit 3"), shell("kill -SEGV $$; exec sleep 0.01"), shell("exec sleep 100")]
    for number, end in enumerate(ends):
        one = box(end).made().started()
        if number == 2:
            one.kill("KILL")
        assert one.ended().status == "stopped"


@clause("runtime.md#lifecycle", MUST, "destroying undoes the create: no mount and no process of it is left")
def test_nothing_is_left(box: Scope, yard: Yard) -> None:
    before = yard.leftovers()
    one = box(shell("sleep 100 & echo ready; wait")).made().started()
    one.told("ready")
    one.stop().delete()
    assert [line for line in yard.leftovers() if line not in before] == []
