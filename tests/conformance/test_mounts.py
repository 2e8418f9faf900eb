"""config.md, mounts: order, sources and destinations, and every option of the table that can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance.bundle import Change, Spec, args, bind, linux, mount, mounts, namespace, shell
from conformance.clauses import DEFINED, MAY, MUST, SHOULD, case, cases, clause
from conformance.probe import Mounted, mounted
from conformance.runtime import Runtime
from conformance.yard import Scope, Yard
from support.commands import run

TABLE = "config.md#linux-mount-options"


@dataclass(frozen=True)
class Option:
    """A row of the table: what it does to a tmpfs, or to a bind mount, as mountinfo tells it."""

    name: str
    says: str
    level: str = MUST
    before: tuple[str, ...] = ()
    """Options in front of it, for one that takes back what another has set."""
    has: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    marks: frozenset[str] | None = None
    """Propagation, as mountinfo names it: shared, master, unbindable."""
    below: bool = False
    """Whether a mount below is changed as well (True) or has to stay (False); for the recursive ones."""
    source: str = ""
    """What is bound: the plain tree or the strict one; nothing: a tmpfs."""
    bound: str = "bind"


def row(name: str, says: str, *, has: str = "", lacks: str = "", **further: Any) -> Option:
    return Option(name, says, has=frozenset(has.split()), lacks=frozenset(lacks.split()), **further)


STRICT = ("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow")

OPTIONS = [
    row("async", "writes are not synchronous", before=("sync",), lacks="sync"),
    row("atime", "access times are kept again", before=("noatime",), lacks="noatime"),
    row("defaults", "nothing is restricted", has="rw", lacks="ro nosuid nodev noexec sync"),
    row("dev", "devices work again", before=("nodev",), lacks="nodev"),
    row("diratime", "directories' access times are kept again", before=("nodiratime",), lacks="nodiratime"),
    row("dirsync", "changes of directories are synchronous", has="dirsync"),
    row("exec", "programs can be executed again", before=("noexec",), lacks="noexec"),
    row("iversion", "is taken (a tmpfs does not show it)"),
    row("lazytime", "times are written lazily", has="lazytime"),
    row("loud", "is taken", before=("silent",)),
    row("mand", "is taken (the kernel has no such locks any more)", level=MAY),
    row("noatime", "access times are not kept", has="noatime"),
    row("nodev", "devices do not work", has="nodev"),
    row("nodiratime", "directories' access times are not kept", has="nodiratime"),
    row("noexec", "programs cannot be executed", has="noexec"),
    row("noiversion", "is taken", before=("iversion",)),
    row("nolazytime", "times are not written lazily", before=("lazytime",), lacks="lazytime"),
    row("nomand", "is taken", level=MAY, before=("mand",)),
    row("norelatime", "is taken, and the kernel's own default stays", before=("relatime",), lacks="noatime"),
    row("nostrictatime", "access times are not strict any more", before=("strictatime",), has="relatime"),
    row("nosuid", "set-user-id has no effect", has="nosuid"),
    row("nosymfollow", "symbolic links are not followed", level=SHOULD, has="nosymfollow"),
    row("relatime", "access times are kept relative to changes", has="relatime"),
    row("ro", "read-only", has="ro"),
    row("rw", "read-write", before=("ro",), has="rw"),
    row("silent", "is taken"),
    row("strictatime", "access times are always kept", lacks="relatime noatime"),
    row("suid", "set-user-id works again", before=("nosuid",), lacks="nosuid"),
    row("symfollow", "symbolic links are followed again", level=SHOULD, before=("nosymfollow",), lacks="nosymfollow"),
    row("sync", "writes are synchronous", has="sync"),
    row("bind", "the source's mount appears, without those below it", source="plain"),
    row("rbind", "the source's mount appears with those below it", source="plain", bound="rbind", below=True),
    row("private", "the mount is private", source="plain", before=("shared",), marks=frozenset()),
    row("shared", "the mount is shared", source="plain", marks=frozenset({"shared"})),
    row("slave", "the mount is a slave", source="plain", marks=frozenset({"master"})),
    row("unbindable", "the mount is unbindable", source="plain", marks=frozenset({"unbindable"})),
    *(
        row(f"r{name}", f"the mount and those below are {says}", source="plain", bound="rbind", below=True, marks=marks)
        for name, says, marks in [
            ("private", "private", frozenset[str]()),
            ("shared", "shared", frozenset({"shared"})),
            ("slave", "slaves", frozenset({"master"})),
            ("unbindable", "unbindable", frozenset({"unbindable"})),
        ]
    ),
    *(
        row(
            f"r{name}",
            f"{name}, for the mounts below too",
            level=SHOULD,
            source="plain",
            bound="rbind",
            below=True,
            has=has,
            lacks=lacks,
        )
        for name, has, lacks in [
            ("ro", "ro", "rw"),
            ("nosuid", "nosuid", ""),
            ("nodev", "nodev", ""),
            ("noexec", "noexec", ""),
            ("noatime", "noatime", "relatime"),
            ("nodiratime", "nodiratime", ""),
            ("nosymfollow", "nosymfollow", ""),
            ("strictatime", "", "relatime noatime"),
        ]
    ),
    *(
        row(
            f"r{name}",
            f"{name}, for the mounts below too",
            level=SHOULD,
            source="strict",
            bound="rbind",
            below=True,
            has=has,
            lacks=lacks,
        )
        for name, has, lacks in [
            ("rw", "rw", "ro"),
            ("suid", "", "nosuid"),
            ("dev", "", "nodev"),
            ("exec", "", "noexec"),
            ("atime", "", "noatime"),
            ("diratime", "", "nodiratime"),
            ("symfollow", "", "nosymfollow"),
            ("relatime", "relatime", "noatime"),
        ]
    ),
    row("rnorelatime", "is taken, for the mounts below too", level=SHOULD, source="plain", bound="rbind", below=True),
    row(
        "rnostrictatime", "is taken, for the mounts below too", level=SHOULD, source="plain", bound="rbind", below=True
    ),
]


@dataclass
class Trees:
    """Two trees on the host, each a tmpfs with another below it."""

    plain: Path
    strict: Path
    made: list[Path] = field(default_factory=list)


def _tmpfs(path: Path, options: str) -> None:
    path.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))


@pytest.fixture(scope="module")
def trees(yard: Yard) -> Iterator[Trees]:
    """A plain tree and one where everything is restricted; both shared, so that slaves can be made of them."""
    base = yard.folder("trees")
    points = [base / "plain", base / "plain/below", base / "strict", base / "strict/below"]
    for point in points:
        _tmpfs(point, "rw")
        run("mount", "--make-shared", str(point))
    (base / "plain/file").write_text("plain\n")
    (base / "plain/below/file").write_text("below\n")
    for point in points[2:]:
        run("mount", "-o", f"remount,bind,{','.join(STRICT)}", str(point))
    yield Trees(points[0], points[2])
    for point in reversed(points):
        run("umount", str(point))


def _entry(option: Option, trees: Trees) -> Spec:
    point = f"/m/{option.name}"
    if not option.source:
        return mount(point, "tmpfs", "tmpfs", *option.before, option.name)
    extra = () if option.name == option.bound else (option.name,)
    return bind(point, getattr(trees, option.source), option.bound, *option.before, *extra)


@pytest.fixture(scope="module")
def known(runtime: Runtime) -> set[str]:
    """The options that the runtime says it recognizes; all of them where it does not say."""
    said = (runtime.features or {}).get("mountOptions")
    return {option.name for option in OPTIONS} if said is None else set(said)


@pytest.fixture(scope="module")
def table(shared: Scope, trees: Trees, known: set[str]) -> dict[str, dict[str, Mounted] | str]:
    """For each option the mounts of a container that has it: one for all; one each where that one fails."""
    taken = [one for one in OPTIONS if one.name in known]
    together = _mounts_with(shared, trees, taken)
    if not isinstance(together, str):
        return {one.name: together for one in taken}
    return {one.name: _mounts_with(shared, trees, [one]) for one in taken}


def _mounts_with(shared: Scope, trees: Trees, options: list[Option]) -> dict[str, Mounted] | str:
    """The mounts of a container with these options; or what the runtime said."""
    entries = [_entry(option, trees) for option in options]
    done = shared(args("/bin/cat", "/proc/self/mountinfo"), mounts(*entries)).run()
    return mounted(done.out) if done.code == 0 else done.err or done.out


@pytest.mark.parametrize(
    "option", [case(one, id=one.name, where=TABLE, level=one.level, says=f"{one.name}: {one.says}") for one in OPTIONS]
)
def test_option(table: dict[str, dict[str, Mounted] | str], known: set[str], option: Option) -> None:
    if option.name not in known:
        pytest.skip(f"the runtime's features do not list {option.name}")
    seen = table[option.name]
    assert not isinstance(seen, str), seen
    point = f"/m/{option.name}"
    assert (f"{point}/below" in seen) == option.below
    for path in [point, *([f"{point}/below"] if option.below else [])]:
        one = seen[path]
        # The file system's own options count for a mount of its own only; its rw says nothing of the mount's.
        told = one.options | (one.super_options - {"ro", "rw"} if not option.source else frozenset())
        assert option.has <= told, path
        assert not option.lacks & told, path
        if option.marks is not None:
            # A shared mount can be a slave too, when what it was made from is one.
            extra = {"propagate_from", *({"master"} if "shared" in option.marks else ())}
            assert option.marks <= one.propagation <= option.marks | extra, path


@clause(TABLE, MUST, "remount: an existing mount gets new options")
def test_remount(box: Scope) -> None:
    entries = [mount("/m", "tmpfs", "tmpfs", "rw"), mount("/m", "tmpfs", "tmpfs", "remount", "ro", "nosuid")]
    seen = mounted(box.look({"mounts": "cat /proc/self/mountinfo"}, mounts(*entries))["mounts"])
    assert {"ro", "nosuid"} <= seen["/m"].options


@clause(TABLE, MAY, "tmpcopyup: a tmpfs starts with what the image has there")
def test_tmpcopyup(box: Scope) -> None:
    one = box(shell("cat /copied/file"), mounts(mount("/copied", "tmpfs", "tmpfs", "tmpcopyup")))
    (one.bundle.rootfs / "copied").mkdir()
    (one.bundle.rootfs / "copied/file").write_text("from the image\n")
    assert one.run().out == "from the image\n"


@clause(TABLE, MUST, "bind with ro: the bind is read-only, its source is not")
def test_bind_read_only(box: Scope, yard: Yard) -> None:
    folder = yard.folder("data")
    assert box.look({"write": "touch /m/file"}, mounts(bind("/m", folder, "bind", "ro")))["write"] != ""
    (folder / "still-writable").touch()


@pytest.mark.parametrize(
    ("options", "told"),
    cases(
        TABLE,
        SHOULD,
        ("size", "an unknown option is the file system's", ("size=64k",), "size=64k"),
        (
            "several",
            "several of them are passed on together",
            ("mode=0711", "uid=7", "nr_inodes=9"),
            "mode=711,uid=7,nr_inodes=9",
        ),
    ),
)
def test_unknown_options_are_data(box: Scope, options: tuple[str, ...], told: str) -> None:
    seen = box.look({"mounts": "cat /proc/self/mountinfo"}, mounts(mount("/m", "tmpfs", "tmpfs", *options)))
    assert set(told.split(",")) <= mounted(seen["mounts"])["/m"].super_options


@clause("runtime.md#create", MUST, "an option that the file system refuses is an error")
def test_refused_option(box: Scope) -> None:
    assert box(mounts(mount("/m", "tmpfs", "tmpfs", "no-such-option=1"))).create().failed


# The mounts themselves.


@clause("config.md#mounts", MUST, "they are mounted in the listed order")
def test_order(box: Scope, yard: Yard) -> None:
    first, second = yard.folder("first"), yard.folder("second")
    (first / "mark").write_text("first\n")
    (second / "mark").write_text("second\n")
    entries = [bind("/m", first), bind("/m", second), mount("/n", "tmpfs", "tmpfs"), bind("/n/below", first)]
    seen = box.look({"m": "cat /m/mark", "n": "cat /n/below/mark"}, mounts(*entries))
    assert seen == {"m": "second", "n": "first"}


@clause("config.md#mounts", MUST, "a relative destination is relative to the root")
def test_relative_destination(box: Scope, yard: Yard) -> None:
    folder = yard.folder("data")
    (folder / "mark").write_text("here\n")
    assert box.look({"m": "cat /m/mark"}, mounts(bind("m", folder)))["m"] == "here"


@clause("config.md#mounts", DEFINED, "a bind source that is relative is relative to the bundle")
def test_relative_source(box: Scope) -> None:
    one = box(shell("cat /m/mark"), mounts(bind("/m", "data")))
    (one.bundle.directory / "data").mkdir()
    (one.bundle.directory / "data/mark").write_text("here\n")
    assert one.run().out == "here\n"


@clause("config.md#mounts", DEFINED, "a file can be bound to a file")
def test_file_source(box: Scope, yard: Yard) -> None:
    source = yard.folder("data") / "file"
    source.write_text("a file\n")
    assert box.look({"m": "cat /some/place"}, mounts(bind("/some/place", source)))["m"] == "a file"


@clause("config.md#mounts", DEFINED, "it is a bind mount when bind or rbind is among the options, whatever the type")
def test_bind_whatever_the_type(box: Scope, yard: Yard) -> None:
    folder = yard.folder("data")
    (folder / "mark").write_text("here\n")
    entries = [
        {"destination": f"/m/{kind}-{option}", "source": str(folder), "options": [option], "type": kind}
        for option in ("bind", "rbind")
        for kind in ("none", "bind", "tmpfs", None)
    ]
    for entry in entries:
        if entry["type"] is None:
            del entry["type"]
    seen = box.look({entry["destination"]: f"cat {entry['destination']}/mark" for entry in entries}, mounts(*entries))
    assert set(seen.values()) == {"here"}


KINDS = ("proc", "sysfs", "tmpfs", "mqueue", "devpts")


@pytest.fixture(scope="module")
def of_each_type(shared: Scope) -> dict[str, Mounted]:
    """The mounts of a container that has one of each type."""
    entries = [mount(f"/m/{kind}", kind, kind) for kind in KINDS]
    return mounted(shared.look({"mounts": "cat /proc/self/mountinfo"}, mounts(*entries))["mounts"])


@pytest.mark.parametrize(
    "kind",
    cases("config.md#posix-platform-mounts", DEFINED, *((kind, f"type {kind} is mounted", kind) for kind in KINDS)),
)
def test_types(of_each_type: dict[str, Mounted], kind: str) -> None:
    assert of_each_type[f"/m/{kind}"].kind == kind


@clause("config.md#posix-platform-mounts", DEFINED, "a type that the kernel does not list is an error")
def test_unknown_type(box: Scope) -> None:
    assert box(mounts(mount("/m", "nosuchfs", "none"))).create().failed


# Id-mapped mounts.

MAP = [{"containerID": 0, "hostID": 5000, "size": 1000}]
USER_MAP = [{"containerID": 0, "hostID": 200000, "size": 65536}]
pytest_idmap = pytest.mark.needs("linux.mountExtensions.idmap.enabled", True)


def idmapped(source: Path, *options: str, **maps: Any) -> Spec:
    return {**bind("/m", source, *options), **maps}


def with_users() -> Change:
    """A user namespace of its own."""

    def change(spec: Spec) -> None:
        namespace("user")(spec)
        linux(uidMappings=USER_MAP, gidMappings=USER_MAP)(spec)

    return change


@pytest_idmap
@pytest.mark.parametrize(
    ("option", "below"),
    cases(
        TABLE,
        SHOULD,
        ("idmap", "idmap: owners are mapped as the mount says", "idmap", "0:0"),
        ("ridmap", "ridmap: in the mounts below too", "ridmap", "5000:5000"),
    ),
)
def test_idmap(box: Scope, trees: Trees, option: str, below: str) -> None:
    entry = idmapped(trees.plain, "rbind", option, uidMappings=MAP, gidMappings=MAP)
    seen = box.look({"top": "stat -c %u:%g /m/file", "below": "stat -c %u:%g /m/below/file"}, mounts(entry))
    assert seen == {"top": "5000:5000", "below": below}


@pytest_idmap
@clause("config.md#posix-platform-mounts", DEFINED, "uidMappings and gidMappings each map their own kind of id")
def test_idmap_of_two_kinds(box: Scope, trees: Trees) -> None:
    gids = [{"containerID": 0, "hostID": 7000, "size": 10}]
    entry = idmapped(trees.plain, "bind", "idmap", uidMappings=MAP, gidMappings=gids)
    assert box.look({"m": "stat -c %u:%g /m/file"}, mounts(entry))["m"] == "5000:7000"


@pytest_idmap
@clause(TABLE, MAY, "idmap without mappings takes those of the container's user namespace")
def test_idmap_of_the_container(box: Scope, trees: Trees, yard: Yard) -> None:
    one = box(shell("stat -c %u:%g /m/file"), mounts(bind("/m", trees.plain, "bind", "idmap")), with_users())
    one.bundle.own(200000, 200000)
    done = one.run()
    assert done.failed or done.out == "0:0\n"


@pytest_idmap
@clause(TABLE, MUST, "idmap without mappings and without a user namespace is an error")
@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_idmap_without_any_map(box: Scope, trees: Trees, option: str) -> None:
    assert box(mounts(bind("/m", trees.plain, "rbind", option))).create().failed


@pytest_idmap
@clause("config.md#posix-platform-mounts", MUST, "uidMappings and gidMappings are given together or not at all")
@pytest.mark.parametrize("name", ["uidMappings", "gidMappings"])
def test_idmap_of_one_kind(box: Scope, trees: Trees, name: str) -> None:
    assert box(mounts(idmapped(trees.plain, "bind", "idmap", **{name: MAP}))).create().failed
