"""Reading a log back: whole, its end, a span of it, over rotated and compressed files."""

from __future__ import annotations

import asyncio
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.logs.writer import Writer, entry
from wherry.logs import generation as module
from wherry.logs.generation import Generation, LineReader
from wherry.logs.json_file import read
from wherry.logs.line import parse_line


def texts(path, **options):
    async def collect():
        async with asyncio.timeout(10):
            return [line.text.decode() async for line in read(path, **options)]

    return asyncio.run(collect())


def numbered(start, stop):
    return [f"{number}\n" for number in range(start, stop)]


@pytest.fixture(params=["plain", "compressed"])
def rotated(tmp_path, request):
    """A log of 100 lines over an active file and three rotated ones."""
    writer = Writer(tmp_path / "log", 2500, 4, compress=request.param == "compressed")
    for number in range(100):
        writer.write(f"{number}\n")
    writer.close()
    assert len(os.listdir(tmp_path)) == 4
    return tmp_path / "log"


def test_everything_over_all_files(rotated):
    """Rotated files are read oldest first, then the active one."""
    lines = texts(rotated)
    assert lines == numbered(100 - len(lines), 100)
    assert len(lines) > 60


@pytest.mark.parametrize("count", [0, 1, 5, 40, 64, 65, 10_000])
def test_tail_over_files(rotated, count):
    """``tail`` takes the last lines of the whole log, however many files they are in."""
    assert texts(rotated, tail=count) == texts(rotated)[max(0, len(texts(rotated)) - count) :] * (count > 0)


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=60), st.integers(0, 70))
def test_tail_start_is_where_the_last_lines_begin(lines, count):
    """Plain files from the back and compressed ones from the front find the same place."""
    data = b"".join(line + b"\n" for line in lines)
    expected = lines[max(0, len(lines) - count) :] if count else []
    for compressed in (False, True):
        with open_temporary(gzip.compress(data) if compressed else data) as file:
            generation = Generation(file, compressed=compressed)
            start, found = generation.tail_start(count)
            assert found == len(expected)
            assert data[start:] == b"".join(line + b"\n" for line in expected)


def open_temporary(data):
    descriptor = os.memfd_create("log")
    os.pwrite(descriptor, data, 0)
    return open(descriptor, "rb", buffering=0)


@given(st.lists(st.text(max_size=30), max_size=30), st.integers(1, 50))
def test_any_text_comes_back(contents, block):
    """What was written comes back byte for byte, wherever the blocks happen to end."""
    data = b"".join(entry(text) for text in contents)
    before, module.BLOCK = module.BLOCK, block
    try:
        with open_temporary(data) as file:
            reader = LineReader(Generation(file, compressed=False))
            lines = []
            while (batch := reader.lines()) is not None:
                lines += batch
    finally:
        module.BLOCK = before
    assert [parse_line(line).text.decode() for line in lines] == contents


def test_streams_and_span(tmp_path):
    """since and until are inclusive; the stream decides; attrs come along."""
    writer = Writer(tmp_path / "log")
    for number in range(10):
        writer.write(f"{number}\n", stream=("stdout", "stderr")[number % 2], time_ns=number * 10**9, attrs={"tag": "x"})
    writer.close()
    path = tmp_path / "log"
    assert texts(path, since=3 * 10**9, until=6 * 10**9) == ["3\n", "4\n", "5\n", "6\n"]
    assert texts(path, stderr=False, tail=4) == ["6\n", "8\n"]

    async def first():
        return await anext(read(path))

    line = asyncio.run(first())
    assert (line.stream, line.time_ns, line.attrs) == ("stdout", 0, {"tag": "x"})


def test_torn_lines(tmp_path):
    """A torn last line is left out, one torn in the middle loses only itself, and zeros are stepped over."""
    path = tmp_path / "log"
    good = entry("a\n"), entry("b\n"), entry("c\n")
    path.write_bytes(good[0] + good[1][:17] + good[1] + b"\0" * 300 + good[2] + b"garbage\n\n" + good[0][:25])
    assert texts(path) == ["a\n", "b\n", "c\n"]
    path.write_bytes(good[0] + good[1].rstrip(b"\n"))
    assert texts(path) == ["a\n", "b\n"]
    path.write_bytes(entry("x\n").replace(b"x", b"\xff"))
    assert texts(path) == ["\N{REPLACEMENT CHARACTER}\n"]


def test_no_log_at_all(tmp_path):
    """A container that never ran has no log: nothing comes, nothing fails."""
    assert texts(tmp_path / "log") == []
    assert texts(tmp_path / "missing" / "log") == []


def test_symbolic_link_is_refused(tmp_path):
    """The active file is never followed out of the container's directory."""
    (tmp_path / "secret").write_bytes(entry("secret\n"))
    (tmp_path / "log").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        texts(tmp_path / "log")


def test_huge_line_is_dropped(tmp_path, monkeypatch):
    """A line that cannot be an entry does not fill the memory."""
    monkeypatch.setattr(module, "LONGEST_LINE", 100_000)
    path = tmp_path / "log"
    path.write_bytes(entry("a\n") + b"x" * 300_000 + b"\n" + entry("b\n"))
    assert texts(path) == ["a\n", "b\n"]


def test_damaged_compressed_file(tmp_path):
    """A torn compressed file gives what can be read of it."""
    path = tmp_path / "log"
    path.write_bytes(entry("new\n"))
    Path(f"{path}.1.gz").write_bytes(gzip.compress(entry("old\n") * 1000)[:-20])
    assert texts(path)[-1] == "new\n"
