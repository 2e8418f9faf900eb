"""config.md, the six hook points: when they run, where, and with what."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.bundle import BUSYBOX, shell
from conformance.clauses import DEFINED, MUST, SHOULD, cases, clause
from conformance.container import Container
from conformance.hooks import INSIDE, NAMESPACES, ON_HOST, POINTS, STATUS, at, hook, hooks, with_folder
from conformance.yard import Scope, Yard


@dataclass
class Life:
    """What hooks have seen in one container's life."""

    container: Container
    folder: Path
    pid: int

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    @property
    def order(self) -> list[str]:
        return self.read("order").split()

    def before(self, first: str, second: str) -> bool:
        return self.order.index(first) < self.order.index(second)


@pytest.fixture(scope="module")
def life(shared: Scope, yard: Yard) -> Life:
    """A container with two hooks at each point, led through its whole life."""
    folder = yard.folder("hooks")
    points = {point: [hook(f"{point}-1", folder), hook(f"{point}-2", folder)] for point in POINTS}
    program = f"echo program >> {folder}/order; while ! test -e {folder}/end; do sleep 0.02; done"
    one = shared(shell(program), with_folder(folder), hooks(**points))
    (one.bundle.rootfs / "only-in-the-container").touch()
    order = folder / "order"
    one.made()
    pid = one.pid
    with order.open("a") as file:
        file.write("create-returned\n")
    one.started()
    with order.open("a") as file:
        file.write("start-returned\n")
    (folder / "end").touch()
    one.ended()
    with order.open("a") as file:
        file.write("delete-called\n")
    assert one.delete().code == 0
    return Life(one, folder, pid)


# When.


@pytest.mark.parametrize(
    ("first", "second"),
    [
        at("prestart", "part of create", "prestart-1", "create-returned"),
        at("prestart", "before the createRuntime hooks", "prestart-2", "createRuntime-1", id="prestart-createRuntime"),
        at("createRuntime", "part of create", "createRuntime-2", "create-returned"),
        at("createContainer", "part of create", "createContainer-2", "create-returned"),
        at(
            *("createContainer", "after the createRuntime hooks", "createRuntime-2", "createContainer-1"),
            id="createRuntime-createContainer",
        ),
        at("startContainer", "part of start", "create-returned", "startContainer-1", id="create-startContainer"),
        at("startContainer", "before the program is executed", "startContainer-2", "program"),
        at(
            "poststart",
            "not before start, whose program they follow",
            "create-returned",
            "poststart-1",
            id="create-poststart",
        ),
        at("poststart", "before start returns", "poststart-2", "start-returned"),
        at("poststop", "called by delete", "delete-called", "poststop-1"),
    ],
)
def test_hooks_come_in_time(life: Life, first: str, second: str) -> None:
    assert life.before(first, second)


@clause("config.md#poststop", MUST, "the container is deleted before they run, and delete returns after them")
def test_poststop_is_last(life: Life) -> None:
    assert life.order[-2:] == ["poststop-1", "poststop-2"]


@pytest.mark.parametrize(
    "point",
    [at(point, "hooks of one point run in the listed order") for point in POINTS],
)
def test_hooks_run_in_order(life: Life, point: str) -> None:
    assert [name for name in life.order if name.startswith(f"{point}-")] == [f"{point}-1", f"{point}-2"]


@pytest.mark.parametrize(
    "point",
    cases("runtime.md#lifecycle", MUST, *((point, f"{point} hooks are invoked, each once", point) for point in POINTS)),
)
def test_hooks_are_invoked(life: Life, point: str) -> None:
    assert life.order.count(f"{point}-1") == 1


# What they get.


@pytest.mark.parametrize(
    "point",
    [at(point, f"the state is on standard input, with status {STATUS[point]}") for point in POINTS],
)
def test_state_on_stdin(life: Life, point: str) -> None:
    state = json.loads(life.read(f"{point}-1.state"))
    assert state["id"] == life.container.id
    assert state["bundle"] == str(life.container.bundle.directory)
    assert state["status"] == STATUS[point]
    assert isinstance(state["ociVersion"], str)


@pytest.mark.parametrize(
    ("point", "side"),
    cases(
        "runtime.md#state",
        DEFINED,
        *(
            (point, f"a {point} hook gets the pid as seen {side}", *(point, side))
            for point, side in [
                ("prestart", "by the runtime"),
                ("createRuntime", "by the runtime"),
                ("createContainer", "in the container"),
                ("startContainer", "in the container"),
                ("poststart", "by the runtime"),
            ]
        ),
    ),
)
def test_pid_in_state(life: Life, point: str, side: str) -> None:
    state = json.loads(life.read(f"{point}-1.state"))
    assert state["pid"] == (life.pid if side == "by the runtime" else 1)


@clause("config.md#posix-platform-hooks", DEFINED, "env is exactly the hook's environment")
def test_hook_environment(life: Life) -> None:
    for point in POINTS:
        names = {line.partition("=")[0] for line in life.read(f"{point}-1.env").splitlines()}
        assert names - {"PWD", "SHLVL", "OLDPWD", "_"} == {"HOOK", "PATH"}  # the shell's own left out


@clause("config.md#posix-platform-hooks", DEFINED, "args is the whole argv; its first word may differ from path")
def test_hook_arguments(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    words = ["ash", "-c", "cat /proc/$$/cmdline > $0; true", str(folder / "argv"), "a b", ""]
    entry = {"path": str(BUSYBOX), "args": words}
    assert box(hooks(createRuntime=[entry])).run().code == 0
    assert (folder / "argv").read_text().split("\0")[:-1] == words


@clause("config.md#posix-platform-hooks", MUST, "path is absolute")
def test_hook_path_is_absolute(box: Scope) -> None:
    one = box(hooks(createRuntime=[{"path": "bin/true"}]))
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause("config.md#posix-platform-hooks", MUST, "timeout is more than zero")
@pytest.mark.parametrize("timeout", [0, -1])
def test_hook_timeout_is_positive(box: Scope, timeout: int) -> None:
    assert box(hooks(createRuntime=[{"path": "/bin/true", "timeout": timeout}])).create().failed


@clause("config.md#posix-platform-hooks", DEFINED, "a hook that is not done after timeout seconds is aborted")
def test_hook_timeout(box: Scope) -> None:
    entry = {"path": str(BUSYBOX), "args": ["sleep", "30"], "timeout": 1}
    began = time.monotonic()
    one = box(hooks(createRuntime=[entry]))
    assert one.create().failed
    assert time.monotonic() - began < 20
    assert one.id not in one.runtime.known()


@clause("config.md#posix-platform-hooks", DEFINED, "a hook that is done in time is not aborted")
def test_hook_in_time(box: Scope) -> None:
    assert box(hooks(createRuntime=[{"path": "/bin/true", "timeout": 10}])).run().code == 0


# Where they run.


@pytest.mark.parametrize(
    "point",
    [at(point, "executed in the runtime's namespaces") for point in ON_HOST],
)
def test_namespaces_of_the_runtime(life: Life, point: str) -> None:
    assert life.read(f"{point}-1.ns").split() == [os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES]


@pytest.mark.parametrize(
    "point",
    [at(point, "executed in the container's namespaces") for point in INSIDE],
)
def test_namespaces_of_the_container(life: Life, point: str) -> None:
    told = life.read(f"{point}-1.ns").split()
    assert all(one != os.readlink(f"/proc/self/ns/{kind}") for one, kind in zip(told, NAMESPACES, strict=True))


@pytest.mark.parametrize(
    "point",
    [at(point, "the path resolves in the runtime's mount namespace") for point in (*ON_HOST, "createContainer")],
)
def test_path_on_the_host(box: Scope, yard: Yard, point: str) -> None:
    folder = yard.folder("hooks")
    program = folder / "only-on-the-host"
    program.write_text(f"#!{BUSYBOX} sh\necho here > {folder}/done\n")
    program.chmod(0o755)
    assert box(hooks(**{point: [{"path": str(program)}]})).run().code == 0
    assert (folder / "done").read_text() == "here\n"


@clause("config.md#startcontainer-hooks", MUST, "the path resolves in the container's mount namespace")
def test_path_in_the_container(box: Scope) -> None:
    one = box(shell("cat /told"), hooks(startContainer=[{"path": "/only-in-the-container"}]))
    program = one.bundle.rootfs / "only-in-the-container"
    program.write_text("#!/bin/sh\necho here > /told\n")
    program.chmod(0o755)
    assert one.run().out == "here\n"


@pytest.mark.parametrize(
    ("point", "pivoted"),
    [
        *(at(point, "before pivot_root", point, False) for point in ("prestart", "createRuntime", "createContainer")),
        at("startContainer", "in the container's root file system", "startContainer", True),
    ],
)
def test_pivoted(life: Life, point: str, pivoted: bool) -> None:  # noqa: FBT001  a table's column
    assert (life.folder / f"{point}-1.root").exists() == pivoted


@pytest.mark.parametrize(
    "point",
    [
        at(point, "the runtime environment is there: the container's namespaces exist")
        for point in ("prestart", "createRuntime")
    ],
)
def test_environment_is_made(box: Scope, yard: Yard, point: str) -> None:
    folder = yard.folder("hooks")
    after = (
        "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' $folder/$name.state)\n"
        "for kind in mnt pid uts ipc net; do readlink /proc/$pid/ns/$kind; done > $folder/theirs"
    )
    entry = hook("a", folder, after=after)
    assert box(hooks(**{point: [entry]})).run().code == 0
    told = (folder / "theirs").read_text().split()
    assert all(one != os.readlink(f"/proc/self/ns/{kind}") for one, kind in zip(told, NAMESPACES, strict=True))


@clause("config.md#createcontainer-hooks", SHOULD, "the container's mounts are made when they run")
def test_mounts_are_made(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    entry = hook("a", folder, after="cat /proc/self/mountinfo > $folder/mounts")
    one = box(hooks(createContainer=[entry]))
    assert one.run().code == 0
    assert "/dev/shm " in (folder / "mounts").read_text()
