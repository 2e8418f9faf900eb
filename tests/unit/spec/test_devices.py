"""The host's devices, looked up."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.runtime.devices import resolve_devices
from wherry.wire.container import DeviceMapping, HostConfig, ThrottleDevice


def mapping(host: str, inside: str = "", access: str = "") -> HostConfig:
    return HostConfig(devices=[DeviceMapping(path_on_host=host, path_in_container=inside, cgroup_permissions=access)])


def test_a_device_with_its_numbers_and_rights() -> None:
    """Under its new name, with what is allowed of it."""
    (node,) = resolve_devices(mapping("/dev/null", "/dev/foo", "r")).nodes
    assert node.node() == {
        "path": "/dev/foo",
        "type": "c",
        "major": 1,
        "minor": 3,
        "fileMode": stat.S_IMODE(os.stat("/dev/null").st_mode),
        "uid": 0,
        "gid": 0,
    }
    assert node.rule() == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}


def test_a_link_is_followed(tmp_path: Path) -> None:
    """``/dev/disk/by-id/…`` are links."""
    link = tmp_path / "link"
    link.symlink_to("/dev/zero")
    (node,) = resolve_devices(mapping(str(link), "/dev/z")).nodes
    assert (node.path, node.major, node.minor) == ("/dev/z", 1, 5)


@pytest.mark.root
def test_a_directory_gives_every_device_in_it(tmp_path: Path) -> None:
    """Files that are none are passed over."""
    os.mknod(tmp_path / "a", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (tmp_path / "sub").mkdir()
    os.mknod(tmp_path / "sub" / "b", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    (tmp_path / "file").write_text("")
    nodes = resolve_devices(mapping(str(tmp_path), "/dev/many")).nodes
    assert [node.path for node in nodes] == ["/dev/many/a", "/dev/many/sub/b"]


@pytest.mark.parametrize(
    ("path", "reason"), [("/dev/nonexist", "no such file or directory"), ("/etc/passwd", "not a device node")]
)
def test_what_is_no_device(path: str, reason: str) -> None:
    """In Docker's words."""
    with pytest.raises(InvalidArgument) as refusal:
        resolve_devices(mapping(path))
    assert str(refusal.value) == f'error gathering device information while adding custom device "{path}": {reason}'


def test_privileged_has_all_that_is_not_made_anyway() -> None:
    """No second null, no terminals of the host."""
    paths = {node.path for node in resolve_devices(HostConfig(privileged=True)).nodes}
    assert not paths & {"/dev/null", "/dev/zero", "/dev/ptmx", "/dev/console", "/dev/tty"}
    assert not any(path.startswith(("/dev/pts/", "/dev/shm/")) for path in paths)


def test_a_limited_device_must_exist() -> None:
    """Its number is what the kernel wants."""
    with pytest.raises(InvalidArgument, match="stat /dev/nonexist: no such file or directory"):
        resolve_devices(HostConfig(blkio_device_read_bps=[ThrottleDevice(path="/dev/nonexist", rate=5)]))
