"""config-linux.md: namespaces, user mappings and the time namespace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.bundle import Change, Spec, args, bind, linux, mounts, namespace, process, shell, without_namespace
from conformance.clauses import DEFINED, MUST, SHOULD, SHOULD_NOT, case, cases, clause
from conformance.container import Container
from conformance.probe import status_field
from conformance.yard import Scope, Yard

WHERE = "config-linux.md#namespaces"
FILES = {"pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "time": "time"}
ALL = (*FILES, "user")
LINKS = {kind: f"readlink /proc/self/ns/{name}" for kind, name in {**FILES, "user": "user"}.items()}
UIDS = [{"containerID": 0, "hostID": 200000, "size": 65536}]
GIDS = [{"containerID": 0, "hostID": 300000, "size": 65536}]
needs_time = pytest.mark.needs("linux.namespaces", "time")


def own(kind: str) -> str:
    """This process's namespace of a type."""
    return os.readlink(f"/proc/self/ns/{FILES.get(kind, kind)}")


def with_users(spec: Spec) -> None:
    """A user namespace with 65536 ids."""
    namespace("user")(spec)
    linux(uidMappings=UIDS, gidMappings=GIDS)(spec)


def kinds(says: Callable[[str], str], level: str, *names: str) -> list[Any]:
    return [
        pytest.param(*row.values, id=row.id, marks=[*row.marks, *([needs_time] if row.id == "time" else [])])
        for row in (case(kind, id=kind, where=WHERE, level=level, says=says(kind)) for kind in names)
    ]


@pytest.fixture(scope="module")
def fresh(shared: Scope) -> dict[str, str]:
    """The namespaces of a container that has a new one of each of the usual types; and its mounts."""
    return shared.look({**LINKS, "mounts": "cat /proc/mounts"}, namespace("cgroup"))


@pytest.mark.parametrize("kind", kinds(lambda kind: f"a new {kind} namespace without path", MUST, *ALL))
def test_new(box: Scope, fresh: dict[str, str], kind: str) -> None:
    if kind in {"time", "user"}:
        one = box(args("/bin/readlink", f"/proc/self/ns/{kind}"), with_users if kind == "user" else namespace(kind))
        if kind == "user":
            one.bundle.own(200000, 300000)
        done = one.run()
        assert done.code == 0, done.err
        assert done.out.strip() not in {"", own(kind)}
    else:
        assert fresh[kind] not in {"", own(kind)}


@pytest.mark.parametrize(
    "kind",
    kinds(
        lambda kind: f"the runtime's {kind} namespace when the type is not listed",
        MUST,
        *(kind for kind in ALL if kind != "mount"),  # without one there can be no root file system
    ),
)
def test_inherited(box: Scope, fresh: dict[str, str], kind: str) -> None:
    if kind in {"user", "time"}:
        assert fresh[kind] == own(kind)
        return
    # /sys is the network namespace's, /dev/mqueue the ipc namespace's: the user namespace is the same, both work.
    assert box.look({kind: LINKS[kind]}, without_namespace(kind))[kind] == own(kind)


@pytest.fixture(scope="module")
def keeper(shared: Scope) -> Container:
    """A running container whose namespaces others join."""
    return shared(args("/bin/sleep", "1000"), namespace("cgroup")).made().started()


@pytest.mark.parametrize(
    "kind", kinds(lambda kind: f"the {kind} namespace that path names", MUST, "pid", "network", "ipc", "uts", "cgroup")
)
def test_joined(box: Scope, keeper: Container, kind: str) -> None:
    path = f"/proc/{keeper.pid}/ns/{FILES[kind]}"

    def change(spec: Spec) -> None:
        namespace(kind, path)(spec)
        if kind == "uts":
            spec.pop("hostname")

    assert box.look({kind: LINKS[kind]}, change)[kind] == os.readlink(path)


@clause(WHERE, MUST, "the user namespace that path names, with the namespaces that it owns")
def test_joined_user(box: Scope) -> None:
    keeper = box(args("/bin/sleep", "1000"), with_users)
    keeper.bundle.own(200000, 300000)
    pid = keeper.made().started().pid

    def change(spec: Spec) -> None:
        for kind in ("user", "network", "ipc", "uts", "pid"):
            namespace(kind, f"/proc/{pid}/ns/{FILES.get(kind, kind)}")(spec)
        spec.pop("hostname")
        linux(uidMappings=UIDS, gidMappings=GIDS)(spec)  # the same ones: some runtimes want them said again

    one = box(args("/bin/readlink", "/proc/self/ns/user"), change)
    one.bundle.own(200000, 300000)
    done = one.run()
    assert done.code == 0, done.err
    assert done.out.strip() == os.readlink(f"/proc/{pid}/ns/user")


@needs_time
@clause(WHERE, MUST, "the time namespace that path names")
def test_joined_time(box: Scope) -> None:
    keeper = box(args("/bin/sleep", "1000"), namespace("time")).made().started()
    path = f"/proc/{keeper.pid}/ns/time"
    assert box.look({"time": LINKS["time"]}, namespace("time", path))["time"] == os.readlink(path)


@pytest.mark.parametrize(
    "kind",
    kinds(lambda kind: f"{kind} by a path of another type is an error", MUST, "pid", "network", "ipc", "uts", "user"),
)
def test_wrong_type(box: Scope, keeper: Container, kind: str) -> None:
    other = "net" if kind != "network" else "ipc"
    one = box(namespace(kind, f"/proc/{keeper.pid}/ns/{other}"))
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause(WHERE, MUST, "a path that is no namespace is an error")
@pytest.mark.parametrize("path", ["/etc/passwd", "/no/such/file"])
def test_no_namespace(box: Scope, path: str) -> None:
    assert box(namespace("network", path)).create().failed


@clause(WHERE, MUST, "path is absolute; a relative one is an error")
def test_relative_path(box: Scope) -> None:
    assert box(namespace("network", "proc/self/ns/net")).create().failed


@clause(WHERE, MUST, "a type listed twice is an error")
def test_duplicate(box: Scope) -> None:
    def change(spec: Spec) -> None:
        spec["linux"]["namespaces"] += [{"type": "network"}]

    one = box(change)
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause(WHERE, DEFINED, "pid: only the processes of the namespace are seen, the program is the first")
def test_pid_namespace(box: Scope) -> None:
    seen = box.look({"self": "echo $$", "all": "ls -d /proc/[0-9]* | wc -l"})
    assert seen["self"] == "1"
    assert int(seen["all"]) <= 4


@clause(WHERE, DEFINED, "network: a stack of its own, with nothing but a loopback")
def test_network_namespace(box: Scope) -> None:
    lines = box.look({"links": "cat /proc/net/dev"})["links"].splitlines()[2:]
    names = {line.partition(":")[0].strip() for line in lines}
    assert "lo" in names
    assert not {name for name in names if name.startswith(("eth", "en", "veth"))}


@clause(WHERE, DEFINED, "mount: what is mounted inside is not seen outside")
def test_mount_namespace(box: Scope, yard: Yard) -> None:
    folder = yard.folder("data")
    few = ["CAP_SYS_ADMIN"]
    one = box(
        shell("mount -t tmpfs tmpfs /data && touch /data/file && echo done"),
        mounts(bind("/data", folder)),
        process(capabilities={"bounding": few, "permitted": few, "effective": few}),
    )
    assert one.run().out == "done\n"
    assert list(folder.iterdir()) == []


@clause(WHERE, DEFINED, "cgroup: the hierarchy is seen from the container's own group")
def test_cgroup_namespace(box: Scope) -> None:
    lines = box.look({"groups": "cat /proc/self/cgroup"}, namespace("cgroup"))["groups"].splitlines()
    assert {line.rpartition(":")[2] for line in lines} == {"/"}


@clause(WHERE, DEFINED, "uts: setting the name inside leaves the one outside")
def test_uts_namespace(box: Scope) -> None:
    before = os.uname().nodename
    few = ["CAP_SYS_ADMIN"]
    change = process(capabilities={"bounding": few, "permitted": few, "effective": few})
    assert box.look({"name": "hostname changed && hostname"}, change)["name"] == "changed"
    assert os.uname().nodename == before


# User mappings.


@pytest.fixture(scope="module")
def mapped(shared: Scope, yard: Yard) -> dict[str, Any]:
    """What a container with a user namespace sees, and what the host sees of it."""
    folder = yard.folder("data")
    os.chown(folder, 200000, 300000)
    script = (
        "cat /proc/self/uid_map; echo @; cat /proc/self/gid_map; echo @; id -u; id -g; echo @;"
        "touch /data/made; stat -c %u:%g /data/made; echo @; cat /proc/self/status; echo @;"
        "stat -c %u:%g /foreign"
    )
    one = shared(shell(script), mounts(bind("/data", folder)), with_users, process(user={"uid": 5, "gid": 6}))
    one.bundle.own(200000, 300000)
    (folder).chmod(0o777)
    foreign = one.bundle.rootfs / "foreign"
    foreign.touch()
    os.chown(foreign, 77, 77)
    done = one.run()
    assert done.code == 0, done.err
    made, kept = (folder / "made").stat(), foreign.stat()
    names = ("uid_map", "gid_map", "id", "made", "status", "foreign")
    parts = dict(zip(names, (text.strip() for text in done.out.split("@\n")), strict=True))
    return {**parts, "host": f"{made.st_uid}:{made.st_gid}", "kept": f"{kept.st_uid}:{kept.st_gid}"}


USERS = "config-linux.md#user-namespace-mappings"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        case("uid_map", "0 200000 65536", id="uid_map", where=USERS, level=DEFINED, says="uidMappings: the user ids"),
        case("gid_map", "0 300000 65536", id="gid_map", where=USERS, level=DEFINED, says="gidMappings: the group ids"),
        case(
            "id", "5 6", id="id", where="config.md#posix-platform-user", level=DEFINED, says="ids are the container's"
        ),
        case("made", "5:6", id="inside", where=USERS, level=DEFINED, says="a file's owner, as the container sees it"),
        case(
            "host", "200005:300006", id="host", where=USERS, level=DEFINED, says="the same owner, as the host sees it"
        ),
        case(
            "kept", "77:77", id="kept", where=USERS, level=SHOULD_NOT, says="owners in the file system are not changed"
        ),
        case(
            "foreign",
            "65534:65534",
            id="foreign",
            where=USERS,
            level=DEFINED,
            says="an unmapped owner is nobody inside",
        ),
    ],
)
def test_mapped(mapped: dict[str, Any], name: str, told: str) -> None:
    assert " ".join(mapped[name].split()) == told


@clause(USERS, DEFINED, "several entries are several ranges")
def test_several_ranges(box: Scope) -> None:
    ranges = [*UIDS, {"containerID": 70000, "hostID": 500000, "size": 10}]

    def change(spec: Spec) -> None:
        with_users(spec)
        linux(uidMappings=ranges)(spec)

    one = box(args("/bin/cat", "/proc/self/uid_map"), change)
    one.bundle.own(200000, 300000)
    lines = [line.split() for line in one.run().out.splitlines()]
    assert lines == [["0", "200000", "65536"], ["70000", "500000", "10"]]


@clause(USERS, DEFINED, "a new user namespace without mappings is an error")
def test_no_mappings(box: Scope) -> None:
    assert box(namespace("user")).create().failed


@clause(USERS, DEFINED, "the capabilities are those of the container's user namespace, as configured")
def test_capabilities_inside(box: Scope) -> None:
    few = ["CAP_CHOWN"]
    one = box(
        args("/bin/cat", "/proc/self/status"),
        with_users,
        process(capabilities={"bounding": few, "permitted": few, "effective": few}),
    )
    one.bundle.own(200000, 300000)
    assert int(status_field(one.run().out, "CapEff"), 16) == 1


# Clocks.

OFFSETS = {"monotonic": {"secs": 172800, "nanosecs": 5}, "boottime": {"secs": 604800, "nanosecs": 7}}
CLOCKS = "config-linux.md#offset-for-time-namespace"


def with_offsets(offsets: dict[str, Any]) -> Change:
    def change(spec: Spec) -> None:
        namespace("time")(spec)
        linux(timeOffsets=offsets)(spec)

    return change


@needs_time
@pytest.mark.parametrize(
    ("clock", "told"),
    cases(
        CLOCKS,
        DEFINED,
        ("monotonic", "the monotonic clock is moved", "monotonic", "172800 5"),
        ("boottime", "the boot clock is moved", "boottime", "604800 7"),
    ),
)
def test_offsets(box: Scope, clock: str, told: str) -> None:
    text = box.look({"offsets": "cat /proc/1/timens_offsets"}, with_offsets(OFFSETS))["offsets"]
    assert f"{clock} {told}" in [" ".join(line.split()) for line in text.splitlines()]


@needs_time
@clause(CLOCKS, DEFINED, "the program itself lives by the moved clock")
def test_uptime(box: Scope) -> None:
    seen = float(box.look({"uptime": "cat /proc/uptime"}, with_offsets(OFFSETS))["uptime"].split()[0])
    assert seen > float(Path("/proc/uptime").read_text().split()[0]) + 604000


@needs_time
@clause("config.md#valid-values", MUST, "an invalid value is an error: a clock that cannot be moved")
def test_unknown_clock(box: Scope) -> None:
    assert box(with_offsets({"realtime": {"secs": 1}})).create().failed


# Default file systems.


@pytest.mark.parametrize(
    ("path", "kind"),
    cases(
        "config-linux.md#default-filesystems",
        SHOULD,
        *(
            (path, f"{path} is {kind}", path, kind)
            for path, kind in [("/proc", "proc"), ("/sys", "sysfs"), ("/dev/pts", "devpts"), ("/dev/shm", "tmpfs")]
        ),
    ),
)
def test_default_filesystems(fresh: dict[str, str], path: str, kind: str) -> None:
    """They are there when the configuration asks for them, as every caller's does."""
    fields = [line.split() for line in fresh["mounts"].splitlines()]
    assert (path, kind) in [(line[1], line[2]) for line in fields]
