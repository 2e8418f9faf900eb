"""config-linux.md: devices, the default ones, and the list of what may be used."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest

from conformance.bundle import bind, capabilities, linux, mounts, shell
from conformance.clauses import DEFINED, MAY, MUST, case, cases, clause
from conformance.yard import Scope, Yard

DEVICES = "config-linux.md#devices"
LIST = "config-linux.md#allowed-device-list"
STAT = "stat -c '%F|%a|%u|%g|%t:%T'"
DEFAULTS = {
    "/dev/null": "1:3",
    "/dev/zero": "1:5",
    "/dev/full": "1:7",
    "/dev/random": "1:8",
    "/dev/urandom": "1:9",
    "/dev/tty": "5:0",
}
GIVEN: list[dict[str, Any]] = [
    {"path": "/dev/given", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
    {"path": "/dev/bare", "type": "c", "major": 1, "minor": 7},
    {"path": "/elsewhere/deep/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0},
    {"path": "/dev/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
    {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
    {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 8, "fileMode": 0o666},
]


@pytest.fixture(scope="module")
def nodes(shared: Scope) -> dict[str, str]:
    """What stat says of every node of a container that has devices of its own."""
    paths = [*DEFAULTS, *(device["path"] for device in GIVEN)]
    return shared.look(
        {
            **{path: f"{STAT} {path}" for path in paths},
            "ptmx": "stat -L -c '%F %t:%T' /dev/ptmx",
            "link": "readlink /dev/ptmx; grep ' /dev/ptmx ' /proc/self/mountinfo",
        },
        linux(devices=GIVEN),
    )


@pytest.mark.parametrize(
    "path",
    cases("config-linux.md#default-devices", MUST, *((path, f"{path} is supplied", path) for path in DEFAULTS)),
)
def test_default_devices(nodes: dict[str, str], path: str) -> None:
    kind, mode, _, _, number = nodes[path].split("|")
    assert (kind, mode, number) == ("character special file", "666", DEFAULTS[path])


@clause("config-linux.md#default-devices", MUST, "/dev/ptmx is the ptmx of the container's /dev/pts, by link or bind")
def test_ptmx(nodes: dict[str, str]) -> None:
    assert nodes["ptmx"] == "character special file 5:2"
    assert "pts/ptmx" in nodes["link"] or "/ptmx /dev/ptmx" in nodes["link"]


@clause("config-linux.md#default-devices", MUST, "default devices can be used: reading and writing them works")
def test_default_devices_work(box: Scope) -> None:
    seen = box.look(
        {
            "null": "echo x > /dev/null && wc -c < /dev/null",
            "zero": "head -c 4 /dev/zero | wc -c",
            "full": "echo x > /dev/full",
            "urandom": "head -c 4 /dev/urandom | wc -c",
            "random": "head -c 4 /dev/random | wc -c",
        }
    )
    assert (seen["null"], seen["zero"], seen["urandom"], seen["random"]) == ("0", "4", "4", "4")
    assert "No space left" in seen["full"]


@pytest.mark.parametrize(
    ("path", "field", "told"),
    [
        case(
            "/dev/given",
            0,
            "character special file",
            id="c",
            where=DEVICES,
            level=MUST,
            says="type c is a character device",
        ),
        case("/dev/block", 0, "block special file", id="b", where=DEVICES, level=MUST, says="type b is a block device"),
        case("/dev/pipe", 0, "fifo", id="p", where=DEVICES, level=MUST, says="type p is a fifo"),
        case(
            "/dev/unbuffered",
            0,
            "character special file",
            id="u",
            where=DEVICES,
            level=MUST,
            says="type u is an unbuffered character device",
        ),
        case(
            "/dev/given",
            4,
            "1:5",
            id="numbers",
            where=DEVICES,
            level=MUST,
            says="major and minor are the device's numbers",
        ),
        case("/dev/given", 1, "640", id="mode", where=DEVICES, level=DEFINED, says="fileMode is the node's mode"),
        case("/dev/given", 2, "3", id="uid", where=DEVICES, level=DEFINED, says="uid is the node's owner"),
        case("/dev/given", 3, "4", id="gid", where=DEVICES, level=DEFINED, says="gid is the node's group"),
        case(
            "/elsewhere/deep/node",
            4,
            "1:3",
            id="elsewhere",
            where=DEVICES,
            level=MAY,
            says="path can be anywhere, not only in /dev",
        ),
        case("/dev/bare", 4, "1:7", id="bare", where=DEVICES, level=MUST, says="fileMode, uid and gid can be left out"),
    ],
)
def test_devices(nodes: dict[str, str], path: str, field: int, told: str) -> None:
    assert nodes[path].split("|")[field] == told


@clause(DEVICES, MUST, "a file at path that is not the requested device is an error")
def test_device_in_the_way(box: Scope) -> None:
    device = {"path": "/taken/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    one = box(linux(devices=[device]))
    (one.bundle.rootfs / "taken").mkdir()
    (one.bundle.rootfs / "taken/node").write_text("a plain file\n")
    assert one.create().failed
    assert (one.bundle.rootfs / "taken/node").read_text() == "a plain file\n"


@clause(DEVICES, DEFINED, "a node at path that is the requested device is taken as it is")
def test_device_is_there(box: Scope) -> None:
    device = {"path": "/there/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    one = box(shell("stat -c %t:%T /there/node"), linux(devices=[device]))
    (one.bundle.rootfs / "there").mkdir()
    os.mknod(one.bundle.rootfs / "there/node", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert one.run().out == "1:3\n"


@clause(DEVICES, DEFINED, "with a user namespace the owner is the container's")
def test_default_devices_with_users(box: Scope) -> None:
    def users(spec: dict[str, Any]) -> None:
        spec["linux"]["namespaces"].append({"type": "user"})
        ids = [{"containerID": 0, "hostID": 200000, "size": 65536}]
        spec["linux"].update(uidMappings=ids, gidMappings=ids)

    one = box(shell("stat -c %t:%T /dev/null /dev/zero; echo x > /dev/null && echo works"), users)
    one.bundle.own(200000, 200000)
    assert one.run().out.split() == ["1:3", "1:5", "works"]


# What may be used.

DENY = {"allow": False, "access": "rwm"}
ZERO = {"type": "c", "major": 1, "minor": 5}


def with_list(*entries: dict[str, Any]) -> Any:
    """Devices are denied but for what ``entries`` say; the default ones the runtime adds itself."""
    return linux(resources={"devices": list(entries)})


KMSG = {"type": "c", "major": 1, "minor": 11}
USE = {"read": "(: < /node) 2>/dev/null && echo r", "write": "(: > /node) 2>/dev/null && echo w"}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        case(
            [DENY],
            "",
            id="deny",
            where=LIST,
            level=DEFINED,
            says="an entry without type and numbers is for all devices",
        ),
        case(
            [DENY, {**KMSG, "allow": True, "access": "rwm"}],
            "rw",
            id="allow",
            where=LIST,
            level=DEFINED,
            says="allow: the device can be used",
        ),
        case(
            [DENY, {**KMSG, "allow": True, "access": "r"}],
            "r",
            id="r",
            where=LIST,
            level=DEFINED,
            says="access r is reading only",
        ),
        case(
            [DENY, {**KMSG, "allow": True, "access": "w"}],
            "w",
            id="w",
            where=LIST,
            level=DEFINED,
            says="access w is writing only",
        ),
        case(
            [DENY, {**KMSG, "allow": True, "access": "m"}],
            "",
            id="m",
            where=LIST,
            level=DEFINED,
            says="access m is neither reading nor writing",
        ),
        case(
            [DENY, {"allow": True, "type": "c", "major": 1, "access": "rwm"}],
            "rw",
            id="minor",
            where=LIST,
            level=DEFINED,
            says="minor unset means every minor number",
        ),
        case(
            [DENY, {"allow": True, "type": "c", "access": "rw"}],
            "rw",
            id="major",
            where=LIST,
            level=DEFINED,
            says="major unset means every major number",
        ),
        case(
            [DENY, {"allow": True, "type": "b", "major": 1, "minor": 11, "access": "rwm"}],
            "",
            id="type",
            where=LIST,
            level=DEFINED,
            says="type b is not type c",
        ),
        case(
            [{"allow": True, "type": "a", "access": "rwm"}, DENY],
            "",
            id="order",
            where=LIST,
            level=MUST,
            says="entries are applied in order: a denial after",
        ),
        case(
            [DENY, {"allow": True, "type": "a", "access": "rwm"}],
            "rw",
            id="all",
            where=LIST,
            level=MUST,
            says="entries are applied in order: type a allows all again",
        ),
    ],
)
def test_list(box: Scope, yard: Yard, entries: list[dict[str, Any]], told: str) -> None:
    """Which uses of /dev/kmsg the list leaves: the node is bound, so that the list alone decides."""
    names = ["CAP_SYSLOG", "CAP_DAC_OVERRIDE"]
    node = yard.folder("node") / "kmsg"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 11))
    rights = capabilities(bounding=names, permitted=names, effective=names)
    seen = box.look(USE, with_list(*entries), mounts(bind("/node", node)), rights)
    assert seen["read"] + seen["write"] == told


@clause("runtime.md#create", MUST, "a device rule that the kernel's list cannot hold is an error, or it is applied")
def test_list_with_a_hole(box: Scope, yard: Yard) -> None:
    node = yard.folder("node") / "kmsg"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 11))
    entries = [DENY, {"allow": True, "type": "c", "major": 1, "access": "rwm"}, {**KMSG, "allow": False, "access": "w"}]
    done = box(shell("(: > /node) 2>/dev/null || echo refused"), with_list(*entries), mounts(bind("/node", node))).run()
    assert done.failed or done.out == "refused\n"


@clause("config-linux.md#default-devices", MUST, "the default devices work although the list denies all")
def test_list_spares_the_defaults(box: Scope) -> None:
    seen = box.look(
        {
            "null": "echo x > /dev/null && echo yes",
            "zero": "head -c 1 /dev/zero | wc -c",
            "random": "head -c 1 /dev/urandom | wc -c",
            "tty": "test -c /dev/tty && echo yes",
        },
        with_list(DENY),
    )
    assert seen == {"null": "yes", "zero": "1", "random": "1", "tty": "yes"}
