"""A layer becomes a directory as its tar says, and nothing outside of it changes (S9)."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from support.images import Tar
from wherry.diff.apply import Applied, apply_layer, clean_name
from wherry.diff.compare import layer_of
from wherry.diff.errors import BadArchive, Stopped

pytestmark = pytest.mark.root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "outer/target"
    target.mkdir(parents=True)
    (tmp_path / "outer/canary").write_text("alive")
    return target


def apply(target: Path, tar: Tar | bytes, lowers: tuple[str, ...] = (), **more: Any) -> Applied:
    data = tar if isinstance(tar, bytes) else tar.bytes()
    stream = io.BytesIO(data)
    return apply_layer(lambda: stream.read(100_000), str(target), lowers, **more)


def lower(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "lower").mkdir(exist_ok=True)
    return (str(tmp_path / "lower"),)


def test_every_kind_of_entry(target: Path) -> None:
    tar = Tar()
    tar.add(".", kind=tarfile.DIRTYPE, mode=0o711, mtime=5)
    tar.folder("d", 0o1777)
    tar.add("d/suid", b"x" * 3000, mode=0o4755, uid=7, gid=8, mtime=1.5)
    tar.add("d/hard", kind=tarfile.LNKTYPE, linkname="d/suid")
    tar.link("link", "/nowhere")
    tar.add("null", kind=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
    tar.add("disk", kind=tarfile.BLKTYPE, mode=0o660, devmajor=8, devminor=1, gid=6)
    tar.add("pipe", kind=tarfile.FIFOTYPE, mode=0o622)
    applied = apply(target, tar)
    suid, null, pipe = (os.lstat(target / name) for name in ("d/suid", "null", "pipe"))
    assert (suid.st_mode, suid.st_uid, suid.st_gid) == (stat.S_IFREG | 0o4755, 7, 8)
    assert (suid.st_mtime_ns, suid.st_nlink) == (1_500_000_000, 2)
    assert (null.st_mode, null.st_rdev) == (stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert pipe.st_mode == stat.S_IFIFO | 0o622
    assert os.lstat(target / "d").st_mode == stat.S_IFDIR | 0o1777
    assert (os.lstat(target).st_mode & 0o7777, os.lstat(target).st_mtime) == (0o711, 5)
    assert os.readlink(target / "link") == "/nowhere"
    assert applied == Applied(3000 + len("/nowhere"), 8)


def test_extended_attributes_but_overlays_own(target: Path) -> None:
    """A layer that could set trusted.overlay.redirect could show any directory of the host's layers."""
    tar = Tar()
    pax = {f"SCHILY.xattr.{key}": "v" for key in ("user.mine", "trusted.overlay.redirect", "user.overlay.opaque")}
    tar.add("f", b"", pax_headers=pax)
    apply(target, tar)
    assert os.listxattr(target / "f") == ["user.mine"]


def test_names_that_are_not_text(target: Path) -> None:
    info = tarfile.TarInfo("caf\udce9")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(info)
    apply(target, buffer.getvalue())
    assert os.listdir(os.fsencode(target)) == [b"caf\xe9"]


def test_whiteouts_become_overlays(target: Path, tmp_path: Path) -> None:
    tar = Tar()
    tar.add("d/.wh.gone")
    tar.add("o/.wh..wh..opq")
    tar.add(".wh..wh.plnk/1")
    tar.add(".wh..wh.aufs")
    apply(target, tar, lower(tmp_path))
    gone = os.lstat(target / "d/gone")
    assert (stat.S_ISCHR(gone.st_mode), gone.st_rdev) == (True, 0)
    assert os.getxattr(target / "o", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(target)) == [".wh..wh.plnk", "d", "o"]


def test_a_whiteout_does_not_touch_its_own_layer(target: Path, tmp_path: Path) -> None:
    """layer.md: only what lies below is hidden, whichever comes first."""
    tar = Tar()
    tar.add("file", b"new")
    tar.add(".wh.file")
    tar.folder("dir")
    tar.add("dir/f", b"new")
    tar.add(".wh.dir")
    tar.add(".wh.late")
    tar.folder("late")
    tar.add(".wh.later")
    tar.add("later", b"new")
    apply(target, tar, lower(tmp_path))
    assert (
        (target / "file").read_bytes() == (target / "dir/f").read_bytes() == (target / "later").read_bytes() == b"new"
    )
    for name in ("dir", "late"):
        assert os.getxattr(target / name, "trusted.overlay.opaque") == b"y"


def test_the_lowest_layer_has_nothing_to_hide(target: Path) -> None:
    tar = Tar()
    tar.add(".wh.gone")
    tar.add(".wh..wh..opq")
    apply(target, tar)
    assert os.listdir(target) == []
    assert os.listxattr(target) == []


def test_parents_that_the_tar_leaves_out_are_like_those_below(target: Path, tmp_path: Path) -> None:
    """They will be merged, and the upper one's owner and mode show."""
    below = lower(tmp_path)
    os.mkdir(f"{below[0]}/secret", 0o700)
    os.chown(f"{below[0]}/secret", 5, 6)
    tar = Tar()
    tar.add("secret/deep/f", b"x")
    apply(target, tar, below)
    found = os.lstat(target / "secret")
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o700, 5, 6)
    assert os.lstat(target / "secret/deep").st_mode & 0o7777 == 0o755


def test_later_entries_win(target: Path) -> None:
    """A file over a directory, a directory over a link, a link over a file; sizes as on disk."""
    tar = Tar()
    tar.add("a/b/c", b"x" * 100)
    tar.add("a", b"file")
    tar.link("l", "a")
    tar.folder("l")
    tar.add("l/in", b"12")
    tar.add("f", b"123")
    tar.link("f", "a")
    tar.add("twice", b"x" * 50)
    tar.add("twice", b"y" * 7)
    applied = apply(target, tar)
    assert (target / "a").read_bytes() == b"file"
    assert (target / "l/in").read_bytes() == b"12"
    assert os.readlink(target / "f") == "a"
    assert applied.size == 4 + 2 + 1 + 7


def test_directory_times_survive_what_is_put_into_them(target: Path) -> None:
    tar = Tar()
    tar.add("d", kind=tarfile.DIRTYPE, mode=0o755, mtime=1000)
    tar.add("d/f", b"x", mtime=2000)
    apply(target, tar)
    assert (os.lstat(target / "d").st_mtime, os.lstat(target / "d/f").st_mtime) == (1000, 2000)


def test_a_sparse_bomb_takes_no_space(target: Path) -> None:
    """8 GiB that are a hole stay a hole; the largest is refused."""
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "big"}
    tar = Tar()
    tar.add("x", b"0\n".ljust(512, b"\0"), pax_headers={**pax, "GNU.sparse.realsize": str(1 << 33)})
    apply(target, tar)
    assert (os.lstat(target / "big").st_size, os.lstat(target / "big").st_blocks) == (1 << 33, 0)
    bomb = Tar()
    bomb.add("x", b"0\n".ljust(512, b"\0"), pax_headers={**pax, "GNU.sparse.realsize": str(1 << 62)})
    with pytest.raises(BadArchive):
        apply(target, bomb)


def escape(name: str, **more: Any) -> Tar:
    tar = Tar()
    tar.link("up", "../../..")
    tar.link("outer", "..")
    tar.link("root", "/")
    tar.link("proc", "/proc/self/root")
    tar.add(name, b"evil", **more)
    return tar


@pytest.mark.parametrize(
    "name",
    [
        "../canary",
        "/canary",
        "a/../../canary",
        "up/canary",
        "outer/canary",
        "root/canary",
        "outer/outer/canary",
        "./../canary",
    ],
)
def test_no_name_leads_out(target: Path, name: str) -> None:
    """Like Docker, whose unpacker is chrooted: it ends up inside."""
    apply(target, escape(name))
    assert (target / "canary").read_bytes() == b"evil"
    assert (target.parent / "canary").read_text() == "alive"


@pytest.mark.parametrize("where", ["../canary", "outer/canary", "up/outer/canary", "/../canary", "nosuch"])
def test_no_hard_link_leads_out(target: Path, where: str) -> None:
    """Its target is looked up inside, where there is none."""
    with pytest.raises(BadArchive, match=r"^link .* /mine: no such file or directory$"):
        apply(target, escape("mine", kind=tarfile.LNKTYPE, linkname=where))
    assert os.lstat(target.parent / "canary").st_nlink == 1


def test_a_hard_link_to_a_link_is_a_link(target: Path) -> None:
    """It is not followed, so it cannot be written through."""
    tar = Tar()
    tar.link("out", str(target.parent / "canary"))
    tar.add("mine", kind=tarfile.LNKTYPE, linkname="out")
    tar.add("mine", b"evil")
    apply(target, tar)
    assert (target.parent / "canary").read_text() == "alive"
    assert (target / "mine").read_bytes() == b"evil"


def test_a_directory_entry_does_not_follow_a_link(target: Path) -> None:
    """Modes and attributes of what a link leads to stay."""
    before = os.lstat(target.parent)
    tar = Tar()
    tar.link("outer", str(target.parent))
    tar.folder("outer", 0o777)
    tar.folder("outer/made")
    apply(target, tar)
    assert os.lstat(target.parent).st_mode == before.st_mode
    assert (target / "outer/made").is_dir()
    assert not (target.parent / "made").exists()


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        (escape("a/b").bytes()[: 5 * 512 + 2], "unexpected EOF"),
        (escape("x/y", kind=b"Z").bytes(), "unhandled tar header type 90"),
        (escape("d" * 300).bytes(), f"open /{'d' * 300}: file name too long"),
        (escape("d/" * 2100 + "f").bytes(), "file name too long"),
        (escape("up/" * 50 + "f").bytes(), "symbolic links"),
        (b"garbage" * 500, "archive/tar: invalid tar header"),
    ],
)
def test_what_cannot_be_applied_says_why(target: Path, tar: bytes, words: str) -> None:
    with pytest.raises(BadArchive, match=words):
        apply(target, tar)


def test_a_file_in_the_place_of_a_parent(target: Path) -> None:
    tar = Tar()
    tar.add("f", b"")
    tar.add("f/under", b"")
    with pytest.raises(BadArchive, match="open /f/under: not a directory"):
        apply(target, tar)


def test_it_stops_when_asked(target: Path) -> None:
    with pytest.raises(Stopped):
        apply(target, escape("x"), stopped=lambda: True)


def test_a_full_disk_is_not_the_layers_fault(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        apply(target, escape("x"))


def test_no_descriptor_is_left_open(target: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    tar = Tar()
    for number in range(400):
        tar.add(f"d{number}/f", b"x")
    tar.add("d1", b"file")
    apply(target, tar)
    assert len(os.listdir("/proc/self/fd")) == before


def test_apply_and_compare_are_inverse(target: Path, tmp_path: Path) -> None:
    """What a directory changed, applied elsewhere, is the same directory; and the bytes are always the same."""
    tar = Tar()
    tar.add(".wh.gone")
    tar.folder("d", 0o2755)
    tar.add("d/.wh..wh..opq")
    tar.add("d/f", b"x" * 5000, mode=0o4711, uid=70000, gid=3_000_000, pax_headers={"SCHILY.xattr.user.a": "é"})
    tar.add("hard", kind=tarfile.LNKTYPE, linkname="d/f")
    tar.add("d/" + "n" * 200, b"long")
    tar.link("l" * 120, "t" * 300)
    tar.add("null", kind=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
    apply(target, tar, lower(tmp_path))
    layer = b"".join(layer_of(str(target)))
    second = tmp_path / "second"
    second.mkdir()
    apply(second, layer, lower(tmp_path))
    assert b"".join(layer_of(str(second))) == layer == b"".join(layer_of(str(target)))
    with tarfile.open(fileobj=io.BytesIO(layer)) as reader:
        names = reader.getnames()
    assert names == ["d", "d/.wh..wh..opq", "d/f", "d/" + "n" * 200, ".wh.gone", "hard", "l" * 120, "null"]


@pytest.mark.parametrize(
    ("name", "clean"),
    [(b"./a", b"a"), (b"/a//b/", b"a/b"), (b"..", b""), (b"a/../../b", b"b"), (b".", b""), (b"a.b/..c", b"a.b/..c")],
)
def test_names_are_cleaned(name: bytes, clean: bytes) -> None:
    assert clean_name(name) == clean
