"""The tar reader reads what others write, and refuses what nobody would."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.diff.errors import BadArchive, Truncated
from wherry.diff.source import Source
from wherry.diff.tar import DIRECTORY, LINK, REGULAR, SYMLINK, Entry, TarReader
from wherry.diff.tarwriter import END, header, padding


def reader(data: bytes, piece: int = 1000) -> TarReader:
    stream = io.BytesIO(data)
    return TarReader(Source(lambda: stream.read(piece)))


def members(data: bytes, piece: int = 1000) -> list[tuple[Entry, bytes]]:
    tar = reader(data, piece)
    return [(entry, b"".join(bytes(part) for part in tar.data())) for entry in tar]


def written(*infos: tuple[tarfile.TarInfo, bytes], style: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as tar:
        for info, data in infos:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda name: not name.endswith("/") and name.strip("/") == name
)


@given(
    name=NAME,
    link=NAME,
    data=st.binary(max_size=2000),
    mtime=st.integers(0, 2**40),
    uid=st.integers(0, 2**32 - 2),
    style=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    piece=st.sampled_from([1, 511, 512, 4096]),
)
def test_what_python_writes_is_read(  # noqa: PLR0917
    name: str, link: str, data: bytes, mtime: int, uid: int, style: int, piece: int
) -> None:
    """Long names, big numbers, any bytes, in both extended formats, however the stream is cut."""
    one, two = tarfile.TarInfo(name), tarfile.TarInfo(name + "2")
    one.mtime, one.uid, one.mode = mtime, uid, 0o4755
    two.type, two.linkname = tarfile.SYMTYPE, link
    first, second = members(written((one, data), (two, b""), style=style), piece)
    assert first == (
        Entry(
            name=name.encode(),
            kind=REGULAR,
            mode=0o4755,
            uid=uid,
            size=len(data),
            stored=len(data),
            mtime_ns=mtime * 10**9,
        ),
        data,
    )
    assert (second[0].name, second[0].kind, second[0].link) == ((name + "2").encode(), SYMLINK, link.encode())


@given(
    name=st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/")),
    mtime_ns=st.integers(-(10**18), 10**19),
    data=st.binary(max_size=1500),
    xattrs=st.dictionaries(st.sampled_from([b"security.capability", b"user.a"]), st.binary(max_size=40)),
    uid=st.integers(0, 2**32 - 2),
)
def test_what_we_write_we_read(name: bytes, mtime_ns: int, data: bytes, xattrs: dict[bytes, bytes], uid: int) -> None:
    """Names that are no text, times before 1970 and to the nanosecond, attributes with any bytes."""
    entry = Entry(
        name=name, kind=REGULAR, mode=0o640, uid=uid, size=len(data), stored=len(data), mtime_ns=mtime_ns, xattrs=xattrs
    )
    assert members(header(entry) + data + padding(len(data)) + END) == [(entry, data)]


@given(
    name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
        lambda name: name.strip("/") == name
    ),
    link=st.text("abc/.", min_size=1, max_size=200),
)
def test_what_we_write_python_reads(name: str, link: str) -> None:
    """An independent reader agrees."""
    data = header(Entry(name=name.encode(), kind=DIRECTORY, mode=0o755)) + header(
        Entry(name=b"l", kind=LINK, link=link.encode())
    )
    with tarfile.open(fileobj=io.BytesIO(data + END)) as tar:
        one, two = tar.getmembers()
    assert (one.name, one.isdir()) == (name, True)
    assert (two.linkname, two.islnk()) == (link, True)


@given(st.binary(max_size=3000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No other exception than BadArchive."""
    with contextlib.suppress(BadArchive):
        members(data)


@given(st.data())
def test_a_damaged_archive_is_read_or_refused(data: st.DataObject) -> None:
    """One changed byte, or a cut anywhere."""
    info = tarfile.TarInfo("d/" + "n" * 120)
    info.pax_headers = {"SCHILY.xattr.user.a": "b"}
    whole = bytearray(written((info, b"x" * 700), style=tarfile.PAX_FORMAT))
    whole[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadArchive):
        members(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@pytest.mark.parametrize(
    "style", ["--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"]
)
def test_sparse_files_of_gnu_tar(tmp_path: Path, style: str) -> None:
    """The four forms in use; more holes than a header holds."""
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        for number in range(40):
            file.seek(number * 1024 * 1024)
            file.write(b"%d" % number * 2000)
        file.truncate(64 * 1024 * 1024)
    command = ["tar", "-cS", *([style] if "gnu" in style else ["--format=pax", style]), "-C", str(tmp_path), "sparse"]
    done = subprocess.run(command, capture_output=True, check=True)
    tar = reader(done.stdout, 65536)
    entry = tar.next()
    assert entry is not None
    assert entry.segments is not None
    assert (entry.name, entry.size) == (b"sparse", 64 * 1024 * 1024)
    rebuilt = bytearray(entry.size)
    for offset, length in entry.segments:
        rebuilt[offset : offset + length] = b"".join(bytes(part) for part in tar.data(length))
    assert bytes(rebuilt) == sparse.read_bytes()
    assert tar.next() is None


def test_an_archive_may_end_without_zeros() -> None:
    """Docker takes one that ends after an entry, even inside its padding."""
    whole = written((tarfile.TarInfo("a"), b"hi"), style=tarfile.USTAR_FORMAT)
    assert len(members(whole[:1024])) == len(members(whole[:700])) == 1
    assert members(b"") == []
    with pytest.raises(Truncated, match=r"^unexpected EOF$"):
        members(whole[:513])
    with pytest.raises(Truncated):
        members(whole[:100])


def claims(**fields: bytes) -> bytes:
    """A ustar header with some fields overwritten, and its sum put right."""
    places = {"size": (124, 136), "uid": (108, 116), "flag": (156, 157), "more": (482, 483), "sparse": (386, 482)}
    block = bytearray(header(Entry(name=b"a", kind=REGULAR)))
    for name, value in fields.items():
        start, end = places[name]
        block[start:end] = value.ljust(end - start, b"\0")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "data",
    [
        claims(size=b"\x80\0\0\0\x40" + b"\0" * 7),  # 2**62 bytes
        claims(size=b"\xff" * 12),  # minus one
        claims(size=b"9"),
        claims(size=b"-1"),
        claims(flag=b"x", size=b"77777777"),  # 16 MiB of pax records
        claims(flag=b"L", size=b"77777777777"),
        claims(flag=b"x", size=b"5") + b"9 a=\n".ljust(512, b"\0"),
        claims(flag=b"x", size=b"12") + b"10 \0=bcdef\n".ljust(512, b"\0"),
        claims(flag=b"S", sparse=b"0\0".ljust(12, b"\0") + b"77777777777\0", size=b"0"),
    ],
)
def test_lies_are_refused(data: bytes) -> None:
    """Sizes beyond reason, numbers that are none, records longer than themselves, holes over holes."""
    with pytest.raises(BadArchive):
        members(data + END)
