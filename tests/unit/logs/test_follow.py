"""R10: a follower loses and repeats nothing, whatever happens to the files."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest

from unit.logs import writer as writer_module
from unit.logs.writer import Writer, entry
from wherry.logs import watch
from wherry.logs.json_file import read


def numbered(start, stop):
    return [f"{number}\n" for number in range(start, stop)]


class Following:
    """A follower running in a task; ``stop`` says that the container has ended and gives everything it read."""

    def __init__(self, path, **options):
        self.ended = asyncio.Event()
        self.got = []
        self.more = asyncio.Event()
        self.task = asyncio.create_task(self._run(path, options))

    async def _run(self, path, options):
        async for line in read(path, follow=True, ended=self.ended, **options):
            self.got.append(line.text.decode())
            self.more.set()

    async def until(self, count):
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.more.clear()
                await self.more.wait()

    async def stop(self):
        self.ended.set()
        async with asyncio.timeout(10):
            await self.task
        return self.got


@pytest.fixture(params=["inotify", "polling"])
def waiting(request, monkeypatch):
    if request.param == "polling":

        def refused(_directory):
            raise OSError("no inotify instances left")

        monkeypatch.setattr(watch, "_watch", refused)


@pytest.mark.usefixtures("waiting")
def test_follow_sees_lines_at_once(tmp_path):
    """A line reaches the follower within milliseconds, and the file may appear after the follower."""

    async def scenario():
        following = Following(tmp_path / "log")
        await asyncio.sleep(0.02)
        writer = Writer(tmp_path / "log")
        delays = []
        for number in range(5):
            began = time.monotonic()
            writer.write(f"{number}\n")
            await following.until(number + 1)
            delays.append(time.monotonic() - began)
        writer.close()
        assert min(delays) < 0.1
        return await following.stop()

    assert asyncio.run(scenario()) == numbered(0, 5)


@pytest.mark.parametrize(
    ("max_files", "compress", "count", "pause"),
    [(1, "no", 150, "0.006"), (2, "no", 600, "0.001"), (3, "yes", 600, "0.001")],
)
def test_follow_over_rotation_by_another_process(tmp_path, max_files, compress, count, pause):
    """max-size 1k: every numbered line once, in order, while another process writes and rotates."""
    path = tmp_path / "log"

    async def scenario():
        command = writer_module.__file__, str(path), str(count), "1000", str(max_files), compress, pause
        process = await asyncio.create_subprocess_exec(sys.executable, *command)
        following = Following(path)
        try:
            async with asyncio.timeout(30):
                assert await process.wait() == 0
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return await following.stop()

    assert asyncio.run(scenario()) == numbered(0, count)


def test_follow_finds_its_place_after_several_rotations_at_once(tmp_path):
    """While the follower was busy the log rotated thrice: it goes through the rotated files in order."""

    async def scenario(compress):
        path = tmp_path / f"log-{compress}"
        writer = Writer(path, max_files=5, compress=compress)
        writer.write("0\n")
        following = Following(path)
        await following.until(1)
        for number in range(1, 13):
            writer.write(f"{number}\n")
            if number % 4 == 0:
                writer.rotate()
        writer.close()
        return await following.stop()

    for compress in (False, True):
        assert asyncio.run(scenario(compress)) == numbered(0, 13)


def test_file_removed_with_lines_unread(tmp_path):
    """max-file 1: what was written into the file before it was removed is still read, then the new one."""

    async def scenario():
        writer = Writer(tmp_path / "log", max_files=1)
        writer.write("0\n")
        following = Following(tmp_path / "log", tail=0)
        await asyncio.sleep(0.05)
        writer.write("1\n")
        writer.rotate()
        writer.write("2\n")
        writer.close()
        return await following.stop()

    assert asyncio.run(scenario()) == ["1\n", "2\n"]


@pytest.mark.parametrize("regrown", [1, 50])
def test_truncated_from_outside(tmp_path, regrown):
    """After a truncation the follower reads on from the beginning, also when the file has grown past its place."""

    async def scenario():
        writer = Writer(tmp_path / "log")
        for number in range(10):
            writer.write(f"{number}\n")
        following = Following(tmp_path / "log")
        await following.until(10)
        os.truncate(tmp_path / "log", 0)
        for number in range(10, 10 + regrown):
            writer.write(f"{number}\n")
        writer.close()
        return await following.stop()

    assert asyncio.run(scenario()) == numbered(0, 10 + regrown)


def test_rotation_by_truncation(tmp_path):
    """A writer that rotates by truncating its only file, as dockerd does: a follower that keeps up misses nothing."""

    async def scenario():
        writer = Writer(tmp_path / "log", max_size=300, max_files=1, truncate=True)
        following = Following(tmp_path / "log")
        for number in range(40):
            writer.write(f"{number}\n")
            await following.until(number + 1)
        writer.close()
        return await following.stop()

    assert asyncio.run(scenario()) == numbered(0, 40)


def test_line_written_in_two_halves(tmp_path):
    """A line comes out once it is whole."""

    async def scenario():
        path = tmp_path / "log"
        line = entry("whole\n")
        path.write_bytes(line[:20])
        following = Following(path)
        await asyncio.sleep(0.05)
        assert following.got == []
        with path.open("ab") as file:
            file.write(line[20:])
        await following.until(1)
        return await following.stop()

    assert asyncio.run(scenario()) == ["whole\n"]


def test_half_a_line_taken_back(tmp_path):
    """A writer without space takes back half a line: nothing that was read before is repeated."""

    async def scenario():
        path = tmp_path / "log"
        path.write_bytes(entry("0\n"))
        following = Following(path)
        await following.until(1)
        for number in range(1, 4):
            size = path.stat().st_size
            with path.open("ab") as file:
                file.write(entry("half\n")[:30])
            await asyncio.sleep(0.02)
            os.truncate(path, size)
            await asyncio.sleep(0.02)
            with path.open("ab") as file:
                file.write(entry(f"{number}\n"))
        await following.until(4)
        return await following.stop()

    assert asyncio.run(scenario()) == numbered(0, 4)


def test_tail_then_follow(tmp_path):
    """``--tail 2 -f`` gives the last two lines and then every new one."""

    async def scenario():
        writer = Writer(tmp_path / "log", max_size=200, max_files=3)
        for number in range(10):
            writer.write(f"{number}\n")
        following = Following(tmp_path / "log", tail=2)
        await following.until(2)
        writer.write("10\n")
        writer.close()
        return await following.stop()

    assert asyncio.run(scenario()) == numbered(8, 11)


def test_until_ends_a_follower(tmp_path):
    """``--until`` in the future ends following then, without a line having to come."""

    async def scenario():
        Writer(tmp_path / "log").close()
        async with asyncio.timeout(5):
            return [line async for line in read(tmp_path / "log", follow=True, until=time.time_ns() + 100_000_000)]

    assert asyncio.run(scenario()) == []


def test_closing_leaves_nothing_behind(tmp_path):
    """Closing the iterator in the middle closes its files and its watch."""

    async def scenario():
        writer = Writer(tmp_path / "log", max_size=100, max_files=3)
        for number in range(10):
            writer.write(f"{number}\n")
        before = len(os.listdir("/proc/self/fd"))
        lines = read(tmp_path / "log", follow=True)
        await anext(lines)
        await lines.aclose()
        writer.close()
        assert len(os.listdir("/proc/self/fd")) == before - 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
