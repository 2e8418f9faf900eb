"""S9, S17: hostile layers. Each is refused in words, or ends up inside; what lies outside never changes.

CVE-2021-41089, CVE-2026-17106 (links that escape), and bombs: sparse, packed, deep, of many entries.
"""

from __future__ import annotations

import gzip
import io
import os
import resource
import stat
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from support.daemons import Daemon
from support.images import Tar, docker_archive
from wherry.diff import apply as applying
from wherry.diff import compression
from wherry.diff.apply import Applied, apply_layer
from wherry.diff.compression import Unpacked
from wherry.diff.errors import BadArchive
from wherry.linux.trees import remove_tree

pytestmark = pytest.mark.root

SYMLINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
OUT = "/../../../../../../../../.."
Build = Callable[[Tar, Path], None]


def _number(value: int) -> bytes:
    """Base-256, twelve bytes, as GNU writes what octal cannot hold."""
    return b"\x80" + value.to_bytes(11, "big")


def _header(name: bytes, kind: bytes = b"0", size: bytes = b"00000000000\0", **more: bytes) -> bytes:
    block = bytearray(512)
    block[0:100] = name.ljust(100, b"\0")[:100]
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148], block[156:157] = size, b"00000000000\0", kind
    block[157:257] = more.get("link", b"").ljust(100, b"\0")
    block[257:265] = more.get("magic", b"ustar\x0000")
    block[345 : 345 + len(more.get("rest", b""))] = more.get("rest", b"")
    if "map" in more:
        block[386 : 386 + len(more["map"])] = more["map"]
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _through_a_link(tar: Tar, outside: Path) -> None:
    tar.link("door", str(outside))
    tar.add("door/canary", b"dead")
    tar.add("door/new", b"dead")


def _through_a_chain(tar: Tar, outside: Path) -> None:
    tar.link("a", "b")
    tar.link("b", f"..{OUT}{outside}")
    tar.add("a/canary", b"dead")


def _over_a_parent(tar: Tar, outside: Path) -> None:
    """A directory that has been opened becomes a link."""
    tar.folder("d")
    tar.add("d/first", b"1")
    tar.link("d", str(outside))
    tar.add("d/canary", b"dead")


def _hard_link_out(tar: Tar, outside: Path) -> None:
    tar.add("grab", kind=HARD, linkname=f"..{OUT}{outside}/canary")
    tar.add("grab", b"dead")


def _hard_link_absolute(tar: Tar, outside: Path) -> None:
    tar.add("grab", kind=HARD, linkname=f"{outside}/canary")


def _hard_link_through_a_link(tar: Tar, outside: Path) -> None:
    tar.link("door", str(outside))
    tar.add("grab", kind=HARD, linkname="door/canary")
    tar.add("grab", b"dead")


def _hard_link_to_a_link(tar: Tar, outside: Path) -> None:
    tar.link("door", f"{outside}/canary")
    tar.add("grab", kind=HARD, linkname="door")
    tar.add("grab", b"dead")


def _modes_through_a_link(tar: Tar, outside: Path) -> None:
    tar.link("door", str(outside))
    tar.add("door", kind=tarfile.DIRTYPE, mode=0o777)
    tar.add("other", kind=SYMLINK, linkname=f"{outside}/canary", mode=0o666, uid=99, gid=99)


def _whiteouts_outside(tar: Tar, outside: Path) -> None:
    tar.link("door", str(outside))
    tar.add("door/.wh.canary")
    tar.add("door/.wh..wh..opq")


def _whiteout_of_nothing(tar: Tar, outside: Path) -> None:
    tar.add(".wh.")


def _whiteout_of_the_parent(tar: Tar, outside: Path) -> None:
    tar.add("d/.wh...")


def _dots(tar: Tar, outside: Path) -> None:
    for name in (
        f"..{OUT}{outside}/canary",
        f"{outside}/canary",
        f"a/../../..{outside}/canary",
        f"./..//..{outside}/canary",
    ):
        tar.add(name, b"dead")


def _redirect(tar: Tar, outside: Path) -> None:
    for key in ("trusted.overlay.redirect", "user.overlay.redirect", "user.fuseoverlayfs.redirect"):
        tar.add("d", kind=tarfile.DIRTYPE, mode=0o755, pax_headers={f"SCHILY.xattr.{key}": str(outside)})


def _a_device_as_parent(tar: Tar, outside: Path) -> None:
    tar.add("null", kind=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
    tar.add("null/x", b"dead")


def _a_fifo_written_to(tar: Tar, outside: Path) -> None:
    """Opening it would wait for ever."""
    tar.add("pipe", kind=tarfile.FIFOTYPE, mode=0o644)
    tar.add("pipe", b"replaced")
    tar.add("pipe2", kind=tarfile.FIFOTYPE, mode=0o644)
    tar.add("pipe2/x", b"dead")


def _deep(tar: Tar, outside: Path) -> None:
    tar.add("/".join(["d"] * 1900) + "/f", b"x")


def _long(tar: Tar, outside: Path) -> None:
    tar.add("x" * 300, b"x")


def _links_in_a_circle(tar: Tar, outside: Path) -> None:
    tar.link("a", "b")
    tar.link("b", "a")
    tar.add("a/x", b"x")


def _magic_links(tar: Tar, outside: Path) -> None:
    tar.link("proc-root", "/proc/self/root")
    tar.add(f"proc-root{outside}/canary", b"dead")
    tar.link("cwd", "/proc/self/cwd/../../../..")
    tar.add(f"cwd{outside}/canary", b"dead")


def _twice_everything(tar: Tar, outside: Path) -> None:
    for _ in range(2):
        tar.folder("same")
        tar.add("same/f", b"x")
        tar.link("same/l", "f")
        tar.add("same/h", kind=HARD, linkname="same/f")
        tar.add("same", b"now a file")


BUILT: list[Build] = [
    _through_a_link,
    _through_a_chain,
    _over_a_parent,
    _hard_link_out,
    _hard_link_absolute,
    _hard_link_through_a_link,
    _hard_link_to_a_link,
    _modes_through_a_link,
    _whiteouts_outside,
    _whiteout_of_nothing,
    _whiteout_of_the_parent,
    _dots,
    _redirect,
    _a_device_as_parent,
    _a_fifo_written_to,
    _deep,
    _long,
    _links_in_a_circle,
    _magic_links,
    _twice_everything,
]
REFUSED = {
    "sixteen exabytes": _header(b"f", size=_number((1 << 63) - 1)),
    "less than nothing": _header(b"f", size=b"\xff" * 11 + b"\xf0"),
    "owner beyond 32 bits": _header(b"f", kind=b"x", size=b"00000000022\0")
    + b"18 uid=8589934592\n".ljust(512, b"\0")
    + _header(b"f"),
    "a pax header of a gigabyte": _header(b"x", kind=b"x", size=_number(1 << 30)),
    "a long name of a gigabyte": _header(b"x", kind=b"L", size=_number(1 << 30)),
    "sparse: more data than file": _header(
        b"s", kind=b"S", size=b"00000001000\0", magic=b"ustar  \0", map=b"00000000000\000000001000\0", rest=b""
    ),
    "sparse: a map without an end": _header(b"s", kind=b"S", magic=b"ustar  \0", map=b"0" * 96 + b"\x01")
    + (b"0" * 504 + b"\x01" + b"\0" * 7) * 4000,
    "cut in the middle": _header(b"f", size=b"00000100000\0") + b"x" * 100,
    "not a tar": b"x" * 2048,
}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory with a canary that must sing the same song afterwards."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "canary").write_text("alive")
    before = _song(outside)
    yield outside
    assert _song(outside) == before


def _song(outside: Path) -> object:
    canary = outside / "canary"
    found = [os.lstat(path) for path in (outside, canary)]
    facts = [
        (one.st_mode, one.st_uid, one.st_gid, one.st_nlink, one.st_mtime_ns, os.listxattr(outside)) for one in found
    ]
    return canary.read_text(), sorted(os.listdir(outside)), facts


def _apply(data: bytes, target: Path, lowers: tuple[str, ...] = ()) -> Applied | None:
    target.mkdir(parents=True)
    stream = io.BytesIO(data)
    try:
        return apply_layer(lambda: stream.read(4096), str(target), lowers)
    except BadArchive as refused:
        if not refused.message:
            raise
        return None


@pytest.mark.parametrize("based", [True, False], ids=["upon a layer", "at the bottom"])
@pytest.mark.parametrize("build", BUILT, ids=[build.__name__[1:] for build in BUILT])
def test_nothing_outside_changes(tmp_path: Path, outside: Path, build: Build, *, based: bool) -> None:
    """Whatever the names and links in a layer say."""
    lower = tmp_path / "lower"
    lower.mkdir()
    tar = Tar()
    build(tar, outside)
    target = tmp_path / "deep/down/target"
    _apply(tar.bytes(), target, (str(lower),) if based else ())
    if build is _redirect:
        kept = os.listxattr(target / "d")
        assert not [key for key in kept if "redirect" in key]
    remove_tree(str(target))  # one is too deep for Python's


@pytest.mark.parametrize("name", REFUSED)
def test_lies_are_refused_in_words(tmp_path: Path, name: str) -> None:
    assert _apply(REFUSED[name], tmp_path / "target") is None


def test_a_sparse_bomb_takes_no_space(tmp_path: Path) -> None:
    """Terabytes that are a hole, in each of the formats; what claims more than that is refused."""
    for number, (major, size) in enumerate([("", 1 << 40), ("1", 1 << 42), ("1", 1 << 60)]):
        pax = (
            {"GNU.sparse.size": str(size), "GNU.sparse.map": "0,0"}
            if not major
            else {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.realsize": str(size),
                "GNU.sparse.name": "s",
            }
        )
        tar = Tar()
        tar.add("s", b"" if not major else b"0\n".ljust(512, b"\0"), pax_headers=pax)
        applied = _apply(tar.bytes(), tmp_path / f"target{number}")
        if size > 1 << 43:
            assert applied is None
            continue
        found = os.stat(tmp_path / f"target{number}/s")
        assert found.st_blocks * 512 < 1 << 20
        assert found.st_size in (0, size)  # a file system may not have files of that size


def test_a_packed_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the free bytes, what unpacks to hundreds of times its size; memory stays what it was."""
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 24)
    for bomb in (gzip.compress(bytes(1 << 26)), zstandard.compress(bytes(1 << 28))):
        stream = Unpacked(io.BytesIO(bomb))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(BadArchive, match="unpacks to more than 200 times its size"):
            sum(map(len, iter(stream.read, b"")))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "ENTRIES_MAX", 1000)
    target = tmp_path / "target"
    target.mkdir()
    stream = io.BytesIO(b"".join(_header(b"f%d" % number) for number in range(1001)))
    with pytest.raises(BadArchive, match="layer is too large: too many files"):
        apply_layer(lambda: stream.read(4096), str(target))


def test_zstd_chunked_is_read_as_zstd() -> None:
    """Frames, and skippable frames in front, between and behind, as its index and footer are."""

    def skippable(data: bytes) -> bytes:
        return struct.pack("<II", 0x184D2A50, len(data)) + data

    frames = [zstandard.compress(part) for part in (b"one" * 1000, b"two" * 1000)]
    packed = skippable(b"") + frames[0] + skippable(b"index" * 100) + frames[1] + skippable(b"footer")
    stream = Unpacked(io.BytesIO(packed))
    assert stream.compression == "zstd"
    assert b"".join(iter(stream.read, b"")) == b"one" * 1000 + b"two" * 1000


def test_a_layer_keeps_what_it_says(tmp_path: Path) -> None:
    """The good in the corpus: capabilities, large ids, nanoseconds, names of any bytes and length, global headers."""
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)
    name = "d" * 90 + "/" + "n" * 200 + "\udcff\udcfe"
    tar = Tar()
    tar.add(
        "ping",
        b"x",
        mode=0o4755,
        uid=70000,
        gid=3_000_000_000,
        mtime=1700000000.0,
        pax_headers={
            "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
            "mtime": "1700000000.123456789",
        },
    )
    tar.add(name, b"long")
    data = _header(b"g", kind=b"g", size=b"00000000024\0") + b"20 comment=whatever\n".ljust(512, b"\0") + tar.bytes()
    assert _apply(data, tmp_path / "target") is not None
    found = os.stat(tmp_path / "target/ping")
    assert (found.st_uid, found.st_gid, found.st_mtime_ns) == (70000, 3_000_000_000, 1_700_000_000_123_456_789)
    assert stat.S_IMODE(found.st_mode) == 0o4755
    assert os.getxattr(tmp_path / "target/ping", "security.capability")[:8] == capability[:8]
    assert (tmp_path / "target" / name).read_bytes() == b"long"


@pytest.mark.ours
def test_the_daemon_refuses_or_contains_them_all(daemon: Daemon, outside: Path) -> None:
    """Loaded as images: nothing outside changes, what was refused leaves no image, and the daemon goes on."""
    before = daemon.out("images", "-aq")
    for build in BUILT:
        tar = Tar()
        build(tar, outside)
        done = daemon.docker("load", input=docker_archive(["hostile:latest"], [tar.bytes()]), check=False)
        if done.returncode == 0:
            daemon.docker("rmi", "hostile:latest")
        else:
            assert done.stderr.strip()
    for data in REFUSED.values():
        assert daemon.docker("load", input=docker_archive(["hostile:latest"], [data]), check=False).returncode == 1
    assert daemon.out("images", "-aq") == before
    assert daemon.out("run", "--rm", "busybox", "echo", "alive") == "alive"
