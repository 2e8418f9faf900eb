"""The reader against the writer that shims use."""

from __future__ import annotations

import asyncio
import fcntl
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.logs.json_file import read
from wherry.runtime.shim_log import JsonLogFile


def log(path, max_size=-1, max_files=1, *, compress=False):
    return JsonLogFile(
        {"path": str(path), "max_size": max_size, "max_files": max_files, "compress": compress, "attrs": [("k", "v")]}
    )


def everything(path, **options):
    async def collect():
        return [line async for line in read(path, **options)]

    return asyncio.run(collect())


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.text(max_size=50)), max_size=20))
def test_what_a_program_prints_is_read_back(tmp_path_factory, chunks):
    """Per stream and byte for byte, however the output was cut; attributes come along."""
    path = tmp_path_factory.mktemp("log") / "log"
    writer = log(path)
    for stream, text in chunks:
        writer.write(stream, text.encode())
    writer.finish(1)
    writer.finish(2)
    writer.close()
    lines = everything(path)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        written = "".join(text for number, text in chunks if number == stream)
        assert b"".join(line.text for line in lines if line.stream == name).decode() == written
    assert all(line.attrs == {"k": "v"} for line in lines)


def test_rotated_and_compressed(tmp_path):
    """All that the writer kept is read, in order, up to the last line."""
    for compress in (False, True):
        path = tmp_path / f"log-{compress}"
        writer = log(path, 2000, 3, compress=compress)
        for number in range(100):
            writer.write(1, f"{number}\n".encode())
            writer.step()
        writer.close()
        numbers = [int(line.text) for line in everything(path)]
        assert numbers == list(range(numbers[0], 100))
        assert len(numbers) > 40
        assert [int(line.text) for line in everything(path, tail=30)] == list(range(70, 100))


def test_following_while_it_rotates(tmp_path):
    """A follower sees every line while files are rotated under it."""

    async def scenario():
        path, ended, got = tmp_path / "log", asyncio.Event(), []

        async def follow():
            async for line in read(path, follow=True, ended=ended):
                got.append(int(line.text))  # noqa: PERF401

        writer = log(path, 1000, 4)
        task = asyncio.create_task(follow())
        for number in range(500):
            writer.write(1, f"{number}\n".encode())
            await asyncio.sleep(0.001)
        writer.close()
        ended.set()
        async with asyncio.timeout(5):
            await task
        return got

    assert asyncio.run(scenario()) == list(range(500))


@pytest.mark.parametrize(("max_files", "compress"), [(1, False), (2, False), (3, True)])
def test_following_a_writer_that_does_not_wait(tmp_path, max_files, compress):
    """R10: 1 kB files, as fast as it goes, several rotations to every look of the follower: every line, once."""

    def print_lines(path):
        writer = log(path, 1000, max_files, compress=compress)
        for number in range(1, 5000):
            writer.write(1, f"{number}\n".encode())
            writer.step()
        writer.close()

    async def scenario():
        path, ended, began, got = tmp_path / "log", asyncio.Event(), asyncio.Event(), []
        first = log(path, 1000, max_files)
        first.write(1, b"0\n")
        first.close()

        async def follow():
            async for line in read(path, follow=True, ended=ended):
                got.append(int(line.text))
                began.set()

        task = asyncio.create_task(follow())
        await began.wait()
        await asyncio.to_thread(print_lines, path)
        ended.set()
        async with asyncio.timeout(10):
            await task
        return got

    assert asyncio.run(scenario()) == list(range(5000))


def test_a_follower_lets_go_of_what_it_has_read(tmp_path):
    """Only the file that it stands in is held: the writer may drop the others."""

    def free(path):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    async def scenario():
        writer = log(tmp_path / "log", 100, 3)
        for number in range(5):
            writer.write(1, f"{number}\n".encode())
        lines = read(tmp_path / "log", follow=True)
        for _ in range(5):
            await anext(lines)
        waiting = asyncio.create_task(anext(lines))
        await asyncio.sleep(0.05)
        assert [free(tmp_path / name) for name in ("log.2", "log.1", "log")] == [True, True, False]
        writer.write(1, b"last\n")
        assert (await waiting).text == b"last\n"
        await lines.aclose()
        writer.close()

    asyncio.run(scenario())


def test_a_followed_file_is_held(tmp_path):
    """The writer can see that somebody follows, and that nobody does any more."""

    def free():
        descriptor = os.open(tmp_path / "log", os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    async def scenario():
        writer = log(tmp_path / "log")
        writer.write(1, b"x\n")
        assert free()
        lines = read(tmp_path / "log", follow=True)
        await anext(lines)
        assert not free()
        await lines.aclose()
        assert free()
        writer.close()

    asyncio.run(scenario())
