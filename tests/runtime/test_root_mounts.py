"""Mounts of config.json (runtime-spec, config.md): what a container sees of each option."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtime.bundles import RUNTIME, Bundle, fields, mount
from runtime.lab import run

pytestmark = pytest.mark.root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of the host with a file in it."""
    path = tmp_path / "source"
    (path / "below").mkdir(parents=True)
    (path / "file").write_text("hello\n")
    return path


def test_a_container_has_its_default_file_systems(bundle: Bundle):
    """/proc, /dev, /dev/pts and /sys are what config.json says."""
    lines = bundle.run("cat /proc/mounts").ok().lines
    assert {"nosuid", "noexec", "nodev"} <= {*fields(lines, "/proc")}
    assert "ro" in fields(lines, "/sys")
    assert "mode=755" in fields(lines, "/dev")


@pytest.mark.parametrize(
    ("options", "there", "missing"),
    [
        ((), {"rw", "relatime"}, {"nosuid", "nodev", "noexec"}),
        (("defaults",), {"rw", "relatime"}, {"nosuid"}),
        (("ro",), {"ro"}, {"rw"}),
        (("ro", "rw"), {"rw"}, {"ro"}),
        (("nosuid", "nodev", "noexec"), {"nosuid", "nodev", "noexec"}, set()),
        (("nosuid", "nodev", "noexec", "suid", "dev", "exec"), set(), {"nosuid", "nodev", "noexec"}),
        (("noatime",), {"noatime"}, {"relatime"}),
        (("noatime", "atime"), {"relatime"}, {"noatime"}),
        (("strictatime",), set(), {"relatime", "noatime"}),
        (("strictatime", "nostrictatime"), {"relatime"}, set()),
        (("relatime",), {"relatime"}, set()),
        (("norelatime",), {"relatime"}, set()),
        (("nodiratime",), {"nodiratime"}, set()),
        (("nodiratime", "diratime"), set(), {"nodiratime"}),
        (("sync", "dirsync"), {"sync", "dirsync"}, set()),
        (("sync", "async"), set(), {"sync"}),
        (("lazytime",), {"lazytime"}, set()),
        (("lazytime", "nolazytime"), set(), {"lazytime"}),
        (("silent", "loud", "iversion", "noiversion", "nomand"), {"rw"}, set()),
        (("nosymfollow",), {"nosymfollow"}, set()),
        (("nosymfollow", "symfollow"), set(), {"nosymfollow"}),
        (("size=64k", "mode=750", "uid=7"), {"size=64k", "mode=750", "uid=7"}, set()),
    ],
)
@pytest.mark.parametrize("further", [(), ("rprivate",)])
def test_options_of_a_new_file_system(bundle: Bundle, options, there, missing, further):
    """Each word of the table has its effect, and the later of two that contradict each other wins.

    With a propagation the file system is made by fsopen(2), without by mount(2): both must read all words.
    """
    bundle.add(mount("/new", "tmpfs", "tmpfs", *options, *further))
    found = {*fields(bundle.run("cat /proc/mounts").ok().lines, "/new")}
    assert there <= found
    assert not missing & found


@pytest.mark.parametrize(
    ("options", "there", "missing"),
    [
        (("ro",), {"ro"}, {"rw"}),
        (("ro", "rw"), {"rw"}, {"ro"}),
        (("nosuid", "nodev", "noexec", "nosymfollow"), {"nosuid", "nodev", "noexec", "nosymfollow"}, set()),
        (("noatime",), {"noatime"}, {"relatime"}),
        (("noatime", "nodiratime"), {"noatime", "nodiratime"}, set()),
        (("strictatime",), set(), {"relatime", "noatime"}),
        (("rro",), {"ro"}, {"rw"}),
        (("rro", "rrw"), {"rw"}, {"ro"}),
        (("ro", "rrw"), {"ro"}, {"rw"}),
        (("rnosuid", "rnodev", "rnoexec"), {"nosuid", "nodev", "noexec"}, set()),
        (("rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec"), set(), {"nosuid", "nodev", "noexec"}),
        (("rnoatime", "rnodiratime"), {"noatime", "nodiratime"}, {"relatime"}),
        (("rnodiratime", "rdiratime", "rrelatime"), {"relatime"}, {"nodiratime"}),
        (("rnoatime", "ratime"), {"relatime"}, {"noatime"}),
        (("rstrictatime",), set(), {"relatime", "noatime"}),
        (("rstrictatime", "rnostrictatime", "rnorelatime"), {"relatime"}, set()),
        (("rnosymfollow",), {"nosymfollow"}, set()),
        (("rnosymfollow", "rsymfollow"), set(), {"nosymfollow"}),
    ],
)
def test_options_of_a_bind(bundle: Bundle, source: Path, options, there, missing):
    """Recursive words reach what is mounted below, the others the top alone; later words win, kind by kind."""
    (bundle.rootfs / "data").mkdir()
    run("mount", "-t", "tmpfs", "none", source / "below")
    try:
        bundle.add(mount("/data", "bind", source, "rbind", *options))
        lines = bundle.run("cat /proc/mounts").ok().lines
    finally:
        run("umount", source / "below")
    top, below = {*fields(lines, "/data")}, {*fields(lines, "/data/below")}
    assert there <= top
    assert not missing & top
    if all(option[:1] == "r" and option not in ("ro", "rw") for option in options):
        assert there <= below
        assert not missing & below
    elif not any(option.startswith("rr") for option in options):
        assert "rw" in below
        assert not {"nosuid", "noatime", "nosymfollow"} & below


def test_bind_takes_one_mount_and_rbind_all_below(bundle: Bundle, source: Path):
    """Of what is mounted below the source."""
    run("mount", "-t", "tmpfs", "none", source / "below")
    try:
        bundle.add(mount("/one", "bind", source, "bind"), mount("/all", "bind", source, "rbind"))
        lines = bundle.run("cat /proc/mounts; cat /one/file /all/file").ok().lines
    finally:
        run("umount", source / "below")
    points = [line.split()[1] for line in lines if len(line.split()) > 1]
    assert "/all/below" in points
    assert "/one/below" not in points
    assert lines[-2:] == ["hello", "hello"]


def test_files_can_be_bound_on_files(bundle: Bundle, source: Path):
    """Present ones and missing ones; the missing are made empty, with their directories."""
    bundle.add(
        mount("/etc/passwd", "bind", source / "file", "bind", "ro"),
        mount("/new/dir/file", "bind", source / "file", "bind"),
    )
    assert bundle.run("cat /etc/passwd /new/dir/file").ok().out == "hello\nhello\n"
    made = bundle.rootfs / "new/dir/file"
    assert made.read_bytes() == b""
    assert stat.S_IMODE(made.stat().st_mode) == 0o644
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o755


def test_mounts_are_made_in_their_order(bundle: Bundle, source: Path):
    """A later one at the same place covers the earlier; one below another finds it there."""
    bundle.add(
        mount("/a", "tmpfs", "tmpfs"),
        mount("/a/b", "bind", source, "bind"),
        mount("/c", "bind", source, "bind"),
        mount("/c", "tmpfs", "tmpfs", "mode=711"),
    )
    assert bundle.run("cat /a/b/file; ls /c; stat -c %a /c").ok().lines == ["hello", "711"]
    assert list((bundle.rootfs / "a").iterdir()) == []


def test_a_relative_destination_counts_from_the_root(bundle: Bundle):
    """As the specification has it for old configurations."""
    bundle.add(mount("relative/../place", "tmpfs", "tmpfs", "size=64k"))
    assert "size=64k" in fields(bundle.run("cat /proc/mounts").ok().lines, "/place")


def test_a_relative_source_counts_from_the_bundle(bundle: Bundle):
    """Of a bind."""
    (bundle.directory / "beside").mkdir()
    (bundle.directory / "beside/file").write_text("beside\n")
    bundle.add(mount("/x", "bind", "beside", "bind"))
    assert bundle.run("cat /x/file").ok().out == "beside\n"


def test_remount_changes_what_is_there(bundle: Bundle, source: Path):
    """The file system's options without ``bind``, the mount's own with it."""
    bundle.add(
        mount("/proc", "proc", "proc", "remount", "ro"),
        mount("/x", "bind", source, "bind"),
        mount("/x", "bind", source, "remount", "bind", "ro", "nosuid"),
        mount("/t", "tmpfs", "tmpfs", "size=64k"),
        mount("/t", "tmpfs", "tmpfs", "remount", "size=128k"),
    )
    lines = bundle.run("cat /proc/mounts; touch /x/new 2>/dev/null || echo refused").ok().lines
    assert lines.pop() == "refused"
    assert "ro" in fields(lines, "/proc")
    assert {"ro", "nosuid"} <= {*fields(lines, "/x")}
    assert "size=128k" in fields(lines, "/t")
    assert [line.split()[1] for line in lines].count("/t") == 1


def test_a_read_only_tmpfs_is_sealed_last(bundle: Bundle):
    """What is mounted below it needs places made in it."""
    bundle.add(mount("/t", "tmpfs", "tmpfs", "ro"), mount("/t/a/b", "tmpfs", "tmpfs"))
    assert bundle.run("touch /t/a/b/x && (touch /t/y 2>/dev/null || echo sealed)").ok().out == "sealed\n"


def test_tmpcopyup_starts_with_what_it_covers(bundle: Bundle):
    """Owners, modes, times, extended attributes and links as they are; nothing behind a link; writes stay in it."""
    top = bundle.rootfs / "srv"
    (top / "deep/er").mkdir(parents=True)
    (top / "deep/er/file").write_bytes(b"x" * 3_000_000)
    (top / "secret").symlink_to("/etc/passwd")
    (top / "dangling").symlink_to("/no/where")
    os.mkfifo(top / "fifo", 0o640)
    os.mknod(top / "null", stat.S_IFCHR | 0o660, os.makedev(1, 3))
    os.chmod(top / "null", 0o660)
    os.chown(top / "deep", 7, 8)
    os.chmod(top / "deep", 0o3750)
    os.chmod(top / "deep/er/file", 0o4755)
    os.setxattr(top / "deep/er/file", "trusted.name", b"value")
    for path in (top / "deep/er/file", top / "deep"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    top.chmod(0o2751)
    bundle.add(mount("/srv", "tmpfs", "tmpfs", "tmpcopyup", "size=16m", "nosuid"))
    script = (
        "cd /srv; stat -c '%n %a %u %g %s' . deep deep/er/file fifo null; stat -c %Y deep deep/er/file;"
        "readlink secret; readlink dangling; stat -c %t,%T null; touch new; grep ' /srv ' /proc/mounts"
    )
    lines = bundle.run(script).ok().lines
    assert [line.split()[:4] for line in lines[:5]] == [
        *([".", "2751", "0", "0"], ["deep", "3750", "7", "8"], ["deep/er/file", "4755", "0", "0"]),
        *(["fifo", "640", "0", "0"], ["null", "660", "0", "0"]),
    ]
    assert lines[2].endswith(" 3000000")
    assert lines[5:10] == ["1000000000", "1000000000", "/etc/passwd", "/no/where", "1,3"]
    assert {"nosuid", "size=16384k"} <= {*fields(lines[10:], "/srv")}
    assert not (top / "new").exists()


@pytest.mark.parametrize("further", [(), ("rprivate",), ("rshared",)])
def test_an_overlay_of_many_layers(bundle: Bundle, tmp_path: Path, further):
    """Its option is longer than fsconfig(2) takes."""
    layers = [tmp_path / f"{number:060}" for number in range(8)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / f"file{number}").touch()
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    options = (f"lowerdir={':'.join(map(str, layers))}", f"upperdir={tmp_path}/upper", f"workdir={tmp_path}/work")
    bundle.add(mount("/o", "overlay", "overlay", *options, *further))
    lines = bundle.run("ls /o; touch /o/new; cat /proc/self/mountinfo").ok().lines
    assert lines[:8] == [f"file{number}" for number in range(8)]
    assert [field.split(":")[0] for field in shown(lines[8:], "/o")] == (["shared"] if "rshared" in further else [])
    assert (tmp_path / "upper/new").exists()


def test_tmpcopyup_of_something_too_large_is_an_error(bundle: Bundle):
    """Not a half of it."""
    (bundle.rootfs / "srv").mkdir()
    (bundle.rootfs / "srv/file").write_bytes(bytes(200_000))
    bundle.add(mount("/srv", "tmpfs", "tmpfs", "tmpcopyup", "size=64k"))
    bundle.run("true").failed("no space left on device")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            mount("/x", "bind", "/no/such", "rbind"),
            'error mounting "/no/such" to rootfs at "/x": stat /no/such: no such',
        ),
        (
            mount("/etc/passwd", "bind", "/tmp", "rbind"),
            'error mounting "/tmp" to rootfs at "/etc/passwd": mount /tmp:/etc/passwd (via /proc/self/fd/',
        ),
        (mount("/etc/passwd", "bind", "/tmp", "rbind"), "), flags: 0x5000: not a directory"),
        (mount("/tmp", "bind", "/etc/hostname", "bind", "ro"), "), flags: 0x1001: not a directory"),
        (mount("/x", "nosuchfs", "s"), 'error mounting "s" to rootfs at "/x": mount s:/x (via /proc/self/fd/'),
        (mount("/x", "nosuchfs", "s"), "): no such device"),
        (mount("/x", "tmpfs", "s", "nosuid", "frob=1"), "), flags: 0x2, data: frob=1: invalid argument"),
        (mount("/x", "tmpfs", "tmpfs", "remount", "ro"), "/x"),
        (mount("/proc/self/x", "bind", "/tmp", "bind"), "cannot be mounted because it is inside /proc"),
        (mount("/proc", "bind", "/tmp", "bind"), "cannot be mounted because it is not of type proc"),
        (mount("/etc/passwd/x", "tmpfs", "tmpfs"), "not a directory"),
    ],
)
def test_what_cannot_be_mounted_is_named_in_runcs_words(bundle: Bundle, entry, text):
    """And nothing runs."""
    bundle.add(entry)
    bundle.run("true").failed(text)


@pytest.mark.skipif(bool(RUNTIME), reason="other runtimes know these less well")
@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (mount("/proc", "tmpfs", "tmpfs"), "cannot be mounted because it is not of type proc"),
        (mount("/", "tmpfs", "tmpfs"), "mount destination / not allowed"),
        (mount("/x/..", "bind", "/tmp", "bind"), "mount destination / not allowed"),
        (mount("/x", "tmpfs", "tmp\0fs"), "mount field contains null byte"),
        (mount("/x", "tmpfs", "s", "rprivate", "frob=1"), "data: frob=1: invalid argument"),
    ],
)
def test_what_is_refused_before_anything_is_made(bundle: Bundle, entry, text):
    """The root and /proc are not covered."""
    bundle.add(entry)
    bundle.run("true").failed(text)


@pytest.mark.parametrize("word", ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"])
def test_propagation_of_a_mount(bundle: Bundle, source: Path, word):
    """As /proc/self/mountinfo shows it: of a bind of a shared source, and of a new file system."""
    run("mount", "--bind", source, source)
    run("mount", "--make-shared", source)
    try:
        bundle.add(mount("/bound", "bind", source, "rbind", word), mount("/new", "tmpfs", "tmpfs", word))
        lines = bundle.run("cat /proc/self/mountinfo").ok().lines
    finally:
        run("umount", source)
    plain = word.removeprefix("r")
    bound, new = ([field.split(":")[0] for field in shown(lines, target)] for target in ("/bound", "/new"))
    assert bound == {"private": [], "slave": ["master"], "shared": ["shared"], "unbindable": ["unbindable"]}[plain]
    assert new == {"private": [], "slave": [], "shared": ["shared"], "unbindable": ["unbindable"]}[plain]


def test_a_bind_that_asks_for_nothing_follows_the_host_and_does_not_reach_it(bundle: Bundle, source: Path):
    """As under runc, whose mounts are the host's slaves: what the host unmounts goes here too."""
    run("mount", "--bind", source, source)
    run("mount", "--make-shared", source)
    try:
        bundle.add(mount("/bound", "bind", source, "rbind"))
        done = bundle.run("cat /proc/self/mountinfo; mount -t tmpfs none /bound/below; touch /bound/below/x").ok()
        assert not (source / "below/x").exists()
    finally:
        run("umount", source)
    assert [field.split(":")[0] for field in shown(done.lines, "/bound")] == ["master"]


def shown(lines: list[str], target: str) -> list[str]:
    """The optional fields of the mount at ``target``, out of mountinfo."""
    found = next(line.split() for line in lines if line.split()[4] == target)
    return found[6 : found.index("-")]
