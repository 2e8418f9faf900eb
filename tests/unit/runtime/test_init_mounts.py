from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.mounts import (
    ATTRIBUTES,
    MOUNT_ATTR_ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
    SET,
)
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_layers import overlay_options
from wherry.runtime.init_mount_devices import DEFAULTS, wanted
from wherry.runtime.init_mount_options import filesystem_options, mount_data
from wherry.runtime.init_mount_sources import default_propagation
from wherry.runtime.init_mounts import BIND, CGROUP, FILESYSTEM, KNOWN_OPTIONS, REMOUNT, clean, parse


def entry(target="/t", kind="tmpfs", *options, source="s"):
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def test_options_of_a_file_system_become_flags_and_the_rest_its_data():
    """Words that are not the VFS's belong to the file system."""
    mount = parse(entry("/dev", "tmpfs", "nosuid", "nodev", "mode=755", "size=64k", "ro", "rw"))
    assert (mount.kind, mount.flags, mount.data) == (FILESYSTEM, MS_NOSUID | MS_NODEV, ["mode=755", "size=64k"])


@pytest.mark.parametrize(("kind", "options"), [("bind", []), ("", ["bind"]), ("none", ["rbind"])])
def test_a_bind_is_known_by_type_or_option(kind, options):
    """As the specification has it."""
    assert parse(entry("/t", kind, *options)).kind == BIND


def test_attributes_of_a_bind():
    """The later word wins, access times are one field, r-words are recursive."""
    mount = parse(entry("/t", "bind", "rbind", "rw", "ro", "noatime", "rnoexec", "rslave", "private"))
    assert mount.attributes == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, MOUNT_ATTR_ATIME)
    assert mount.recursive_attributes == (MOUNT_ATTR_NOEXEC, 0)
    assert mount.propagation == [MS_SLAVE | MS_REC, MS_PRIVATE]
    assert parse(entry("/t", "bind", "ro", "rw")).attributes == (0, MOUNT_ATTR_RDONLY)


def test_both_cgroup_types_are_one_kind():
    """The machine decides which version it is."""
    assert {parse(entry("/c", kind, "ro")).kind for kind in ("cgroup", "cgroup2")} == {CGROUP}
    assert parse(entry("/c", "cgroup", "ro")).flags == MS_RDONLY


@pytest.mark.parametrize(
    ("path", "cleaned"), [("/a/../b", "/b"), ("a//b/.", "/a/b"), ("/../../x", "/x"), ("/a/b/../..//c", "/c")]
)
def test_targets_are_cleaned(path, cleaned):
    """Nothing climbs above the root."""
    assert parse(entry(path)).target == cleaned


@pytest.mark.parametrize("path", ["/proc/self/x", "/proc/sys/kernel", "/x/../proc/1", "/", "/.."])
def test_targets_that_would_redirect_the_runtime_are_refused(path):
    """CVE-2021-30465 and its kin: in /proc only what lxcfs puts there, and never the root."""
    with pytest.raises(ValueError, match=r"cannot be mounted|not allowed"):
        parse(entry(path, "bind"))


@pytest.mark.parametrize("path", ["/proc", "/proc/cpuinfo", "/proc/net/dev", "/process/x"])
def test_targets_that_are_fine(path):
    """Files of /proc that are commonly faked."""
    assert parse(entry(path, "bind")).target == path


def test_names_of_layers_are_escaped():
    """A colon separates layers, a comma options."""
    options = overlay_options(["a:b", "c,d"], "u\\v", "w")
    assert options == "lowerdir=a\\:b:c\\,d,upperdir=u\\\\v,workdir=w"


TARGETS = st.text(alphabet="abc/.", max_size=20)
WORDS = sorted(KNOWN_OPTIONS - {"bind", "rbind", "remount", "idmap", "ridmap"})


@given(TARGETS)
def test_a_cleaned_path_is_absolute_and_goes_down_only(path):
    """And cleaning it again changes nothing."""
    cleaned = clean(path)
    assert cleaned[0] == "/"
    assert not {"", ".", ".."} & {*cleaned[1:].split("/")} or cleaned == "/"
    assert clean(cleaned) == cleaned == os.path.normpath("/" + path).replace("//", "/")


@given(st.lists(st.sampled_from(WORDS)), st.lists(st.text(alphabet="xyz=", min_size=5, max_size=8)))
def test_known_words_are_never_data_and_the_others_always(known, others):
    """In the order given."""
    mount = parse(entry("/t", "tmpfs", *known, *others))
    assert mount.data == others
    assert mount.copy_up == ("tmpcopyup" in known)


@given(st.lists(st.sampled_from(WORDS)))
def test_what_is_set_is_not_cleared(words):
    """Access times apart, which are one field: it is cleared whole before one is set, or the kernel refuses."""
    mount = parse(entry("/t", "bind", *words))
    for attributes, clear in (mount.attributes, mount.recursive_attributes):
        assert not attributes & clear & ~MOUNT_ATTR_ATIME
        assert clear & MOUNT_ATTR_ATIME in (0, MOUNT_ATTR_ATIME)
        assert not attributes & MOUNT_ATTR_ATIME or clear & MOUNT_ATTR_ATIME
        assert attributes & MOUNT_ATTR_ATIME != MOUNT_ATTR_ATIME & ~0x40


@given(st.sampled_from(["ro", "nosuid", "nodev", "noexec", "nodiratime", "nosymfollow"]), st.data())
def test_the_last_of_a_word_and_its_opposite_wins(word, data):
    """Alone and recursively."""
    opposite = {"ro": "rw"}.get(word, word.removeprefix("no"))
    words = data.draw(st.lists(st.sampled_from([word, opposite]), min_size=1))
    bit = ATTRIBUTES[word][0]
    expected = (bit, 0) if words[-1] == word else (0, bit)
    assert parse(entry("/t", "bind", *words)).attributes == expected
    assert parse(entry("/t", "bind", *(f"r{text}" for text in words))).recursive_attributes == expected
    assert bool(parse(entry("/t", "tmpfs", *words)).flags & SET[word]) == (words[-1] == word)


def test_every_word_of_the_specification_is_known():
    """Runtime-spec 1.2, config.md, Linux mount options."""
    assert set(TABLE.split()) == KNOWN_OPTIONS


TABLE = """
async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec
noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime
remount rexec rnoatime rnodiratime rnodev rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime
rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync
tmpcopyup unbindable idmap ridmap
"""


def test_ids_are_mapped_by_word_or_by_map():
    """The container's own map with the word alone; half a map is refused."""
    line = [{"containerID": 0, "hostID": 5, "size": 1}]
    assert (parse(entry("/t", "bind")).idmap, parse(entry("/t", "bind", "ridmap")).idmap) == ("", "ridmap")
    mount = parse({**entry("/t", "bind"), "uidMappings": line, "gidMappings": line})
    assert (mount.idmap, mount.mappings) == ("idmap", (line, line))
    with pytest.raises(ValueError, match="both uid and gid mappings"):
        parse({**entry("/t", "bind", "idmap"), "uidMappings": line})


def test_the_source_of_a_bind_may_be_relative_to_the_bundle():
    """Of a bind alone."""
    assert parse(entry("/t", "bind", source="data"), "/b").source == "/b/data"
    assert parse(entry("/t", "bind", source="/data"), "/b").source == "/data"
    assert parse(entry("/t", "tmpfs", source="data"), "/b").source == "data"


def test_a_remount_is_a_kind_of_its_own():
    """Also of the root, and of what is in /proc's place."""
    assert parse(entry("/", "", "remount", "bind", "ro")).kind == REMOUNT
    mount = parse(entry("/proc", "proc", "remount", "ro"))
    assert (mount.kind, mount.flags) == (REMOUNT, MS_REMOUNT | MS_RDONLY)


@pytest.mark.parametrize("field", ["destination", "source", "type"])
def test_a_null_byte_is_refused(field):
    """The kernel would end the word there."""
    with pytest.raises(ValueError, match="null byte"):
        parse({**entry("/t"), field: "/a\0b"})


def test_options_for_fsconfig():
    """The super block's flags by name, the rest as keys and values; a label needs no quotes there, but in mount(2)."""
    mount = parse(entry("/t", "tmpfs", "ro", "sync", "nosuid", "size=64k,mode=700", "huge"))
    assert filesystem_options(mount, ["uid=1"]) == [
        *(
            ("source", "s"),
            ("ro", None),
            ("sync", None),
            ("uid", "1"),
            ("size", "64k"),
            ("mode", "700"),
            ("huge", None),
        ),
    ]
    assert ("ro", None) not in filesystem_options(mount, read_only=False)
    assert filesystem_options(mount, label="a:b:c1,c2")[-1] == ("context", "a:b:c1,c2")
    assert mount_data(mount, ["uid=1"], "a:c1,c2") == 'uid=1,size=64k,mode=700,huge,context="a:c1,c2"'
    assert mount_data(parse(entry("/proc", "proc")), [], "label") == ""


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", MS_SLAVE | MS_REC),
        ("rslave", MS_SLAVE | MS_REC),
        ("private", MS_PRIVATE | MS_REC),
        ("runbindable", MS_PRIVATE | MS_REC),
        ("rshared", 0),
    ],
)
def test_what_a_bind_gets_that_asks_for_no_propagation(word, expected):
    """By that of the root, as under runc, where everything starts as the host's slave."""
    assert default_propagation(word) == expected


def test_devices_of_the_spec_come_before_the_defaults():
    """One entry a path; /dev/ptmx is a link."""
    named = [
        {"path": "/dev/../dev/null", "type": "c", "major": 1, "minor": 5},
        {"path": "/dev/ptmx", "type": "c"},
        {"type": "a", "path": ""},
    ]
    with pytest.raises(StartError, match='invalid device type "a"'):
        wanted({"devices": named})
    devices = wanted({"devices": named[:2]})
    assert [device["path"] for device in devices].count("/dev/null") == 1
    assert devices[0]["minor"] == 5
    assert len(devices) == len(DEFAULTS)
