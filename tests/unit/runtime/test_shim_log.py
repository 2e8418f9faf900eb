from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.shim_log import PIECE, JsonLogFile, Lines, quote


def writer(path: Path, **options) -> JsonLogFile:
    return JsonLogFile({"path": str(path), "max_size": -1, "max_files": 1, "compress": False, "attrs": (), **options})


def texts(path: Path) -> str:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return "".join(json.loads(line)["log"] for line in data.splitlines())


@given(st.text())
def test_text_survives_quoting(text):
    """A JSON reader gets back what the program wrote."""
    assert json.loads(b'"' + quote(text.encode()) + b'"') == text


@pytest.mark.parametrize(
    ("data", "quoted"),
    [
        (b"plain text", b"plain text"),
        (b'a"b\\', rb"a\"b\\"),
        (b"\t\r\x00\x7f", rb"\u0009\r\u0000" + b"\x7f"),
        (b"<&>", rb"\u003c\u0026\u003e"),
        ("é\u2028".encode(), "é\\u2028".encode()),
        (b"\xff\xfe!", "��!".encode()),
        (b"\xe2\x82", "��".encode()),
    ],
)
def test_quoting_is_dockers(data, quoted):
    """HTML characters and line separators escaped, each invalid byte one replacement character."""
    assert quote(data) == quoted


def test_a_line_is_dockers_byte_for_byte():
    """Attributes stand between stream and time."""
    assert Lines("stdout", {}).feed(b"hi\n", b"T") == [b'{"log":"hi\\n","stream":"stdout","time":"T"}\n']
    expected = b'{"log":"hi\\n","stream":"stderr","attrs":{"k":"v"},"time":"T"}\n'
    assert Lines("stderr", {"k": "v"}).feed(b"hi\n", b"T") == [expected]


def test_a_long_line_comes_in_pieces_with_the_time_of_the_first():
    """16 KiB each; only the last has the newline."""
    lines = Lines("stdout", {})
    first = [json.loads(line) for line in lines.feed(b"x" * (2 * PIECE + 1), b"1")]
    last = [json.loads(line) for line in lines.feed(b"y\nz\n", b"2")]
    assert [(len(line["log"]), line["time"]) for line in first] == [(PIECE, "1"), (PIECE, "1")]
    assert [(line["log"], line["time"]) for line in last] == [("xy\n", "1"), ("z\n", "2")]


@given(st.lists(st.binary(max_size=60)), st.booleans())
def test_cutting_a_stream_changes_nothing(chunks, scale):
    """However the bytes arrive, the log says the same."""
    data = b"".join(chunk * (500 if scale else 1) for chunk in chunks)
    whole, cut = Lines("stdout", {}), Lines("stdout", {})
    expected = whole.feed(data, b"T") + whole.flush(b"T")
    got = [line for chunk in chunks for line in cut.feed(chunk * (500 if scale else 1), b"T")] + cut.flush(b"T")
    assert got == expected


def test_a_last_line_without_newline_is_logged_at_the_end(tmp_path: Path):
    """As ``printf`` leaves it."""
    log = writer(tmp_path / "log")
    log.write(1, b"a\nb")
    log.finish(1)
    log.close()
    assert [json.loads(line)["log"] for line in (tmp_path / "log").read_text().splitlines()] == ["a\n", "b"]


@pytest.mark.parametrize("compress", [False, True])
def test_rotation_keeps_the_newest_files(tmp_path: Path, compress):
    """x, x.1 … up to the count; whole lines, in order, nothing twice."""
    log = writer(tmp_path / "log", max_size=1000, max_files=3, compress=compress)
    for number in range(60):
        log.write(1, f"line {number}\n".encode())
        log.step()
    log.close()
    suffix = ".gz" if compress else ""
    names = [f"log.2{suffix}", f"log.1{suffix}", "log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    kept = "".join(texts(tmp_path / name) for name in names)
    assert "".join(f"line {number}\n" for number in range(60)).endswith(kept)
    assert kept.count("\n") > 25


def test_one_chunk_may_rotate_several_times(tmp_path: Path):
    """The limit counts between lines, not between writes."""
    log = writer(tmp_path / "log", max_size=500, max_files=5)
    log.write(1, b"".join(b"%d\n" % number for number in range(30)))
    log.close()
    assert len(list(tmp_path.iterdir())) == 5
    assert all(path.stat().st_size < 600 for path in tmp_path.iterdir())


def test_a_single_file_is_emptied_when_it_is_full(tmp_path: Path):
    """max-file 1."""
    log = writer(tmp_path / "log", max_size=300, max_files=1)
    for number in range(30):
        log.write(1, b"%d\n" % number)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert texts(tmp_path / "log").endswith("29\n")


def test_a_full_disk_loses_lines_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """R12: what is on disk stays readable, and the writer goes on when there is room again."""
    log = writer(tmp_path / "log")
    log.write(1, b"before\n")
    real = __import__("os").write
    room = [10]

    def short(fd, data):
        written = real(fd, data[: room[0]])
        room[0] -= written
        if not written:
            raise OSError(28, "No space left on device")
        return written

    monkeypatch.setattr("wherry.runtime.shim_log.os.write", short)
    log.write(1, b"lost\n")
    monkeypatch.undo()
    log.write(1, b"after\n")
    log.close()
    assert texts(tmp_path / "log") == "before\nafter\n"


def test_a_log_that_is_a_link_is_refused(tmp_path: Path):
    """S16: CVE-2026-53489."""
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="log"):
        writer(tmp_path / "log")
