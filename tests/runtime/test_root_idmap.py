"""Id-mapped mounts (runtime-spec, config.md, uidMappings, idmap, ridmap)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.bundles import Bundle, fields, mapping, mount
from runtime.lab import run

pytestmark = pytest.mark.root

WHO = "stat -c '%n %u %g'"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of the host whose files belong to 0, 10 and 1000, with a mount below it."""
    path = tmp_path / "source"
    (path / "below").mkdir(parents=True)
    for owner in (0, 10, 1000):
        (path / str(owner)).touch()
        os.chown(path / str(owner), owner, owner + 1)
    path.chmod(0o777)
    return path


def mapped(source: Path, *options: str, target: str = "/data"):
    """Owners 0 to 19 are shown from 5000 on, groups from 6000."""
    return mount(target, "bind", source, *options, uidMappings=mapping(0, 5000, 20), gidMappings=mapping(0, 6000, 20))


@pytest.mark.parametrize("options", [("bind", "idmap"), ("rbind", "ridmap"), ("bind",)])
def test_owners_are_shown_as_mapped(bundle: Bundle, source: Path, options):
    """Who is not mapped is nobody. Maps without the word count too."""
    bundle.add(mapped(source, *options))
    lines = bundle.run(f"cd /data; {WHO} 0 10 1000").ok().lines
    assert lines == ["0 5000 6001", "10 5010 6011", "1000 65534 65534"]
    assert (source / "10").stat().st_uid == 10


def test_what_is_written_belongs_to_whom_it_is_mapped_from(bundle: Bundle, source: Path):
    """The host's files stay the host's: id 5010 in the container writes as 10."""
    bundle.add(mapped(source, "bind", "idmap"))
    bundle.run("chown 5010:6010 /data/10").ok()
    assert ((source / "10").stat().st_uid, (source / "10").stat().st_gid) == (10, 10)


@pytest.mark.parametrize(("word", "below"), [("idmap", 0), ("ridmap", 5000)])
def test_only_ridmap_maps_what_is_mounted_below(bundle: Bundle, source: Path, word, below):
    """Of an rbind."""
    run("mount", "-t", "tmpfs", "none", source / "below")
    try:
        (source / "below/file").touch()
        bundle.add(mapped(source, "rbind", word))
        lines = bundle.run("stat -c %u /data/0 /data/below/file").ok().lines
    finally:
        run("umount", source / "below")
    assert lines == ["5000", str(below)]


def test_other_options_hold_too(bundle: Bundle, source: Path):
    """Read-only, and the propagation."""
    bundle.add(mapped(source, "bind", "idmap", "ro", "nosuid", "rslave"))
    done = bundle.run("cat /proc/mounts; touch /data/x 2>/dev/null || echo refused").ok()
    assert done.lines[-1] == "refused"
    assert {"ro", "nosuid"} <= {*fields(done.lines[:-1], "/data")}


def test_a_new_tmpfs_can_be_mapped(bundle: Bundle):
    """What a process makes there is its own to see, and its mode is the covered directory's."""
    (bundle.rootfs / "data").mkdir(mode=0o750)
    entry = mount(
        "/data", "tmpfs", "tmpfs", "size=64k", uidMappings=mapping(0, 0, 1000), gidMappings=mapping(0, 0, 1000)
    )
    bundle.add(entry)
    lines = bundle.run("cd /data; touch x; stat -c '%a %u' . x; grep /data /proc/mounts").ok().lines
    assert lines[:2] == ["750 0", "644 0"]
    assert {"size=64k", "idmapped"} & {*fields(lines[2:], "/data")}


def test_the_containers_own_map_is_the_default(bundle: Bundle, source: Path):
    """With a user namespace and no maps: the host's root is the container's."""
    bundle.in_user_namespace()
    bundle.add(mount("/data", "bind", source, "bind", "idmap"), mount("/plain", "bind", source, "bind"))
    lines = bundle.run("stat -c '%u %g' /data/10 /plain/10; touch /data/new").ok().lines
    assert lines == ["10 11", "65534 65534"]
    assert (source / "new").stat().st_uid == 0


def test_maps_in_a_user_namespace(bundle: Bundle, source: Path):
    """They count on the host: 100000 there is 0 here."""
    bundle.in_user_namespace()
    entry = mount(
        "/data", "bind", source, "bind", "idmap",
        uidMappings=mapping(10, 100_000, 1), gidMappings=mapping(11, 100_005, 1),
    )  # fmt: skip
    bundle.add(entry)
    assert bundle.run(f"cd /data; {WHO} 10 0").ok().lines == ["10 0 5", "0 65534 65534"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            mount("/x", "bind", "/tmp", "bind", "idmap"),
            "id-mapped mounts must have both uid and gid mappings specified",
        ),
        (
            mount("/x", "bind", "/tmp", "bind", "idmap", uidMappings=mapping(0, 1, 1)),
            "id-mapped mounts must have both uid and gid mappings specified",
        ),
        (
            mount("/x", "bind", "/proc", "bind", "idmap", uidMappings=mapping(0, 1, 1), gidMappings=mapping(0, 1, 1)),
            "failed to set MOUNT_ATTR_IDMAP on /proc: invalid argument (maybe the filesystem used doesn't support",
        ),
    ],
)
def test_what_cannot_be_mapped(bundle: Bundle, entry, text):
    """No map at all, half a map, a file system that has none."""
    bundle.add(entry)
    bundle.run("true").failed(text)
