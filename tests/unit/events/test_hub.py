"""The events hub: history and live without a seam, and a journal that outlives the daemon."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager

import pytest

from wherry.engine.events import Events, hub
from wherry.lib.clock import now_ns
from wherry.lib.filters import Filters
from wherry.state.database import Database
from wherry.state.schema import MIGRATIONS


@asynccontextmanager
async def opened(path, **options):
    database = Database(path / "state.db", MIGRATIONS)
    events = Events(database, **options)
    await events.start()
    try:
        yield events
    finally:
        await events.close()
        database.close()


async def collect(stream, count):
    async with asyncio.timeout(5):
        return [(await anext(stream)).action for _ in range(count)]


def numbered(start, stop):
    return [f"n{number}" for number in range(start, stop)]


def test_history_and_live_have_no_seam(tmp_path, monkeypatch):
    """A subscriber that starts in the past sees each event once, out of journal, memory and the future."""
    monkeypatch.setattr(hub, "RECENT", 16)
    monkeypatch.setattr(hub, "PAGE", 7)

    async def scenario():
        async with opened(tmp_path) as events:
            begin = now_ns()
            for name in numbered(0, 100):
                events.emit("container", name, "id", {})
            await asyncio.sleep(0.15)
            for name in numbered(100, 130):
                events.emit("container", name, "id", {})
            stream = events.subscribe(since_ns=begin)
            assert await collect(stream, 60) == numbered(0, 60)
            for name in numbered(130, 200):
                events.emit("container", name, "id", {})
            assert await collect(stream, 140) == numbered(60, 200)
            await stream.aclose()
            assert events.listeners == 0

    asyncio.run(scenario())


def test_without_since_only_what_follows_the_call(tmp_path):
    """The span of a subscription begins when ``subscribe`` is called, not when it is first read."""

    async def scenario():
        async with opened(tmp_path) as events:
            events.emit("container", "before", "id", {})
            stream = events.subscribe()
            events.emit("container", "after", "id", {})
            assert await collect(stream, 1) == ["after"]

    asyncio.run(scenario())


def test_journal_survives_a_restart_and_is_bounded(tmp_path):
    """The newest ``keep`` events are there after a restart, and numbering goes on."""

    async def write():
        async with opened(tmp_path, keep=10) as events:
            for name in numbered(0, 25):
                events.emit("volume", name, "v", {"driver": "local"})

    async def read():
        async with opened(tmp_path, keep=10) as events:
            events.emit("volume", "n25", "v", {})
            stream = events.subscribe(since_ns=0, until_ns=now_ns())
            return [message.action async for message in stream]

    asyncio.run(write())
    assert asyncio.run(read()) == numbered(15, 26)


def test_until_in_the_future_ends_the_stream_then(tmp_path):
    """A live stream ends at ``until`` and holds what came before it."""

    async def scenario():
        async with opened(tmp_path) as events:
            stream = events.subscribe(until_ns=now_ns() + 200_000_000)
            events.emit("container", "in time", "id", {})
            async with asyncio.timeout(2):
                return [message.action async for message in stream]

    assert asyncio.run(scenario()) == ["in time"]


def test_close_ends_listeners(tmp_path):
    """Closing the hub ends every subscription."""

    async def scenario():
        async with opened(tmp_path) as events:

            async def listen():
                return [message.action async for message in events.subscribe()]

            listener = asyncio.create_task(listen())
            await asyncio.sleep(0)
            events.emit("daemon", "reload", "id", {})
            await asyncio.sleep(0.01)
        async with asyncio.timeout(1):
            return await listener

    assert asyncio.run(scenario()) == ["reload"]


def test_slow_listener_stalls_nobody_and_loses_only_the_oldest(tmp_path):
    """Falling behind by more than the journal loses the oldest events; the rest come in order."""

    async def scenario():
        async with opened(tmp_path, keep=50) as events:
            stream = events.subscribe()
            for name in numbered(0, 2000):
                events.emit("container", name, "id", {})
            await asyncio.sleep(0.2)
            got = await collect(stream, 1)
            return int(got[0][1:]), await collect(stream, 20)

    first, rest = asyncio.run(scenario())
    assert first > 0
    assert rest == numbered(first + 1, first + 21)


def test_full_disk_keeps_events_in_memory(tmp_path, monkeypatch):
    """When the journal cannot be written, events still flow and are stored once it can."""
    monkeypatch.setattr(hub, "RETRY_DELAY_S", 0.05)

    async def scenario():
        async with opened(tmp_path) as events:
            real, failures = events._journal.append, []

            async def failing(records):
                if len(failures) < 2:
                    failures.append(len(records))
                    raise sqlite3.OperationalError("database or disk is full")
                await real(records)

            monkeypatch.setattr(events._journal, "append", failing)
            stream = events.subscribe()
            events.emit("image", "pull", "busybox", {"name": "busybox"})
            assert await collect(stream, 1) == ["pull"]
            await asyncio.sleep(0.5)
            assert failures == [1, 1]
            assert events._journal.last_sequence() == 1

    asyncio.run(scenario())


def test_legacy_fields_as_dockerd(tmp_path):
    """Containers repeat status, id and image; images status and id; other nouns nothing."""

    async def scenario():
        async with opened(tmp_path) as events:
            stream = events.subscribe()
            events.emit("container", "start", "c" * 64, {"image": "busybox", "name": "x"})
            events.emit("image", "tag", "sha256:1", {"name": "a:b"})
            events.emit("volume", "create", "v", {"driver": "local"})
            return [await anext(stream) for _ in range(3)]

    container, image, volume = asyncio.run(scenario())
    assert (container.status, container.id, container.from_) == ("start", "c" * 64, "busybox")
    assert (image.status, image.id, image.from_) == ("tag", "sha256:1", "")
    assert (volume.status, volume.id, volume.from_) == ("", "", "")


@pytest.mark.parametrize("text", ["\udcff", "ok é"])
def test_text_of_any_kind_is_stored(tmp_path, text):
    """A file name that is not UTF-8 cannot stop the journal."""

    async def scenario():
        async with opened(tmp_path) as events:
            events.emit("container", f"exec_create: {text}", "id", {"x": text})
        async with opened(tmp_path) as events:
            return [message.action async for message in events.subscribe(0, now_ns())]

    assert len(asyncio.run(scenario())) == 1


def test_filters_apply(tmp_path):
    """Only what is asked for comes out."""

    async def scenario():
        async with opened(tmp_path) as events:
            events.emit("container", "start", "id", {})
            events.emit("volume", "create", "v", {})
            stream = events.subscribe(0, now_ns(), Filters({"type": ("volume",)}))
            return [message.action async for message in stream]

    assert asyncio.run(scenario()) == ["create"]
