"""config-linux.md: masked and read-only paths, propagation of the root, kernel parameters, personality, labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.bundle import PATH, args, linux, mount, mounts, namespace, shell, without_namespace
from conformance.clauses import DEFINED, MUST, case, cases, clause
from conformance.probe import mounted
from conformance.yard import Scope, Yard
from support.commands import run

# Paths.


@pytest.fixture(scope="module")
def paths(shared: Scope) -> dict[str, str]:
    """A container with a masked file, a masked directory, and read-only ones."""
    parts = {
        "masked file": "cat /secret-file; stat -L -c %t:%T /secret-file",
        "masked directory": "ls -A /secret; touch /secret/new",
        "masked proc": "cat /proc/interrupts",
        "read-only file": "echo x > /fixed/file; cat /fixed/file",
        "read-only directory": "touch /fixed/new",
        "read-only below": "touch /fixed/deep/new",
        "read-only proc": "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "others": "touch /free && echo yes",
    }
    one = shared(
        shell("\n".join(f"echo '@@ {name}'; {{ {what}; }} 2>&1" for name, what in parts.items())),
        linux(
            maskedPaths=["/secret-file", "/secret", "/proc/interrupts", "/no/such/path"],
            readonlyPaths=["/fixed", "/proc/sys", "/no/such/path"],
        ),
    )
    root = one.bundle.rootfs
    (root / "secret-file").write_text("secret\n")
    (root / "secret").mkdir()
    (root / "secret/thing").write_text("secret\n")
    (root / "fixed/deep").mkdir(parents=True)
    (root / "fixed/file").write_text("fixed\n")
    done = one.run()
    assert done.code == 0, done.err
    pieces = done.out.split("@@ ")[1:]
    return {piece.partition("\n")[0]: piece.partition("\n")[2].strip() for piece in pieces}


MASKED, FIXED = "config-linux.md#masked-paths", "config-linux.md#readonly-paths"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        case(
            "masked file",
            "1:3",
            id="masked-file",
            where=MASKED,
            level=DEFINED,
            says="a file cannot be read: nothing is in it",
        ),
        case(
            "masked directory",
            "touch: /secret/new: Read-only file system",
            id="masked-directory",
            where=MASKED,
            level=DEFINED,
            says="a directory cannot be read: it is empty, and read-only",
        ),
        case(
            "masked proc", "", id="masked-proc", where=MASKED, level=DEFINED, says="a file of /proc is masked as well"
        ),
        case(
            "others",
            "yes",
            id="masked-missing",
            where=MASKED,
            level=DEFINED,
            says="a path that does not exist is passed over",
        ),
        case(
            "read-only file",
            "/bin/sh: can't create /fixed/file: Read-only file system\nfixed",
            id="readonly-file",
            where=FIXED,
            level=DEFINED,
            says="a file cannot be written, but read",
        ),
        case(
            "read-only directory",
            "touch: /fixed/new: Read-only file system",
            id="readonly-directory",
            where=FIXED,
            level=DEFINED,
            says="nothing can be made in a directory",
        ),
        case(
            "read-only below",
            "touch: /fixed/deep/new: Read-only file system",
            id="readonly-below",
            where=FIXED,
            level=DEFINED,
            says="nor below it",
        ),
        case(
            "read-only proc",
            "/bin/sh: can't create /proc/sys/net/ipv4/ip_forward: Read-only file system",
            id="readonly-proc",
            where=FIXED,
            level=DEFINED,
            says="kernel parameters cannot be set",
        ),
    ],
)
def test_paths(paths: dict[str, str], name: str, told: str) -> None:
    assert paths[name].replace("sh: can't", "/bin/sh: can't").replace("/bin//bin/", "/bin/") == told


@clause(FIXED, DEFINED, "a mount's own options stay when its path is made read-only")
def test_readonly_keeps_options(box: Scope) -> None:
    seen = box.look(
        {"mounts": "cat /proc/self/mountinfo"},
        mounts(mount("/m", "tmpfs", "tmpfs", "nosuid", "nodev", "noexec")),
        linux(readonlyPaths=["/m"]),
    )
    assert {"ro", "nosuid", "nodev", "noexec"} <= mounted(seen["mounts"])["/m"].options


@pytest.mark.parametrize("field", ["maskedPaths", "readonlyPaths"])
@clause(FIXED, MUST, "values are absolute: a relative one is an error, or the same path from the root; not passed over")
def test_relative_paths(box: Scope, field: str) -> None:
    one = box(shell("cat /home/file && touch /home/file && echo open"), linux(**{field: ["home"]}))
    (one.bundle.rootfs / "home/file").write_text("there\n")
    assert "open" not in one.run().out


# Propagation.

PROPAGATION = "config-linux.md#rootfs-mount-propagation"


def _marks(box: Scope, value: str | None) -> frozenset[str]:
    change = linux(rootfsPropagation=value) if value else linux()
    text = box.look({"mounts": "cat /proc/self/mountinfo"}, change)["mounts"]
    return mounted(text)["/"].propagation - {"propagate_from"}


@pytest.mark.parametrize(
    ("value", "told"),
    cases(
        PROPAGATION,
        DEFINED,
        ("private", "private: the root is private", "private", frozenset()),
        ("slave", "slave: nothing goes from the root to the host", "slave", None),
        ("shared", "shared: the root is a peer group", "shared", frozenset({"shared"})),
        ("unbindable", "unbindable: the root cannot be bound", "unbindable", frozenset({"unbindable"})),
    ),
)
def test_propagation(box: Scope, value: str, told: frozenset[str] | None) -> None:
    marks = _marks(box, value)
    if told is None:
        assert "shared" not in marks
    else:
        assert marks == told


@pytest.fixture
def shared_folder(yard: Yard) -> Iterator[Path]:
    """A mount of the host that is shared."""
    folder = yard.folder("shared")
    run("mount", "-t", "tmpfs", "tmpfs", str(folder))
    run("mount", "--make-shared", str(folder))
    yield folder
    run("umount", "-R", str(folder))


def _later_mount(box: Scope, folder: Path, value: str) -> str:
    """Whether a mount made on the host after start is seen in the container."""
    below = folder / "below"
    below.mkdir(exist_ok=True)
    entry = mount("/m", "none", str(folder), "rbind", value)
    script = "while ! test -e /tmp/go; do sleep 0.02; done; grep -c ' /m/below ' /proc/self/mountinfo; echo end"
    one = box(shell(script), mounts(entry), linux(rootfsPropagation=value.removeprefix("r"))).made().started()
    run("mount", "-t", "tmpfs", "tmpfs", str(below))
    (one.bundle.rootfs / "tmp/go").touch()
    text = one.told("end")
    one.stop().delete()
    run("umount", str(below))
    return text.split()[0]


@pytest.mark.parametrize(
    ("value", "told"),
    cases(
        PROPAGATION,
        DEFINED,
        ("rslave", "slave: what the host mounts later appears", "rslave", "1"),
        ("rprivate", "private: what the host mounts later does not appear", "rprivate", "0"),
    ),
)
def test_later_mounts(box: Scope, shared_folder: Path, value: str, told: str) -> None:
    assert _later_mount(box, shared_folder, value) == told


@clause(PROPAGATION, DEFINED, "by default no mount of the container reaches the host")
def test_nothing_reaches_the_host(box: Scope, yard: Yard) -> None:
    before = Path("/proc/self/mountinfo").read_text().count(str(yard.directory))
    one = box(args("/bin/sleep", "1000")).made()
    assert Path("/proc/self/mountinfo").read_text().count(str(yard.directory)) == before
    one.stop().delete()


# Kernel parameters.

SYSCTL = "config-linux.md#sysctl"


@pytest.mark.parametrize(
    ("name", "value"),
    cases(
        SYSCTL,
        DEFINED,
        ("net", "a parameter of the network namespace is set", "net.ipv4.ip_forward", "1"),
        ("ipc", "a parameter of the ipc namespace is set", "kernel.shmmni", "1234"),
        ("mqueue", "a parameter of message queues is set", "fs.mqueue.msg_max", "17"),
        ("slash", "a name may be written with slashes", "net/ipv4/ping_group_range", "0\t5"),
    ),
)
def test_sysctl(box: Scope, name: str, value: str) -> None:
    file = "/proc/sys/" + name.replace(".", "/")
    outside = Path(file).read_text()
    assert box.look({"value": f"cat {file}"}, linux(sysctl={name: value}))["value"] == value
    assert Path(file).read_text() == outside


@clause(SYSCTL, DEFINED, "a parameter that no namespace has is an error")
def test_sysctl_of_the_machine(box: Scope) -> None:
    before = Path("/proc/sys/vm/swappiness").read_text()
    assert box(linux(sysctl={"vm.swappiness": before.strip()})).create().failed


@pytest.mark.parametrize(
    ("kind", "name"),
    cases(
        SYSCTL,
        DEFINED,
        ("network", "a network parameter without a network namespace is an error", "network", "net.ipv4.ip_forward"),
        ("ipc", "an ipc parameter without an ipc namespace is an error", "ipc", "kernel.shmmni"),
    ),
)
def test_sysctl_needs_its_namespace(box: Scope, kind: str, name: str) -> None:
    before = Path("/proc/sys/" + name.replace(".", "/")).read_text()
    one = box(without_namespace(kind), linux(sysctl={name: before.strip()}))
    assert one.create().failed
    assert Path("/proc/sys/" + name.replace(".", "/")).read_text() == before


# The execution domain.


@pytest.mark.parametrize(
    ("domain", "machine"),
    cases(
        "config-linux.md#personality",
        DEFINED,
        ("LINUX", "LINUX: the machine as it is", "LINUX", "x86_64"),
        ("LINUX32", "LINUX32: a 32-bit machine", "LINUX32", "i686"),
    ),
)
def test_personality(box: Scope, domain: str, machine: str) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the names are those of x86_64")
    assert box.look({"machine": "uname -m"}, linux(personality={"domain": domain}))["machine"] == machine


# Labels and more.


@clause("config-linux.md#mount-label", DEFINED, "mounts are labelled")
def test_mount_label(box: Scope) -> None:
    if not Path("/sys/fs/selinux").is_dir() or not os.listdir("/sys/fs/selinux"):
        pytest.skip("the kernel has no SELinux")
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    seen = box.look({"mounts": "cat /proc/self/mountinfo"}, linux(mountLabel=label))["mounts"]
    assert label in seen


@clause("config.md#root", DEFINED, "the program sees no other root: .. ends at the root, and the host's is not mounted")
def test_root_is_all(box: Scope, yard: Yard) -> None:
    seen = box.look({"up": "ls /../../../..", "mounts": "cat /proc/self/mountinfo"}, namespace("cgroup"))
    assert {"bin", "etc"} <= set(seen["up"].split())
    assert str(yard.directory) not in {one.point for one in mounted(seen["mounts"]).values()}


@clause("config.md#process", DEFINED, "nothing of the caller's environment comes along")
def test_callers_environment(box: Scope) -> None:
    os.environ["WHERRY_CONFORMANCE_SECRET"] = "secret"
    try:
        text = box.look({"env": "tr '\\0' '\\n' < /proc/1/environ"})["env"]
    finally:
        del os.environ["WHERRY_CONFORMANCE_SECRET"]
    assert set(text.split()) - {"HOME=/root", "HOME=/"} == {PATH}
