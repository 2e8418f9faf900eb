"""Attached clients of one process."""

from __future__ import annotations

import asyncio

from wherry.engine.containers.attachment import QUEUED_CHUNKS, Hub, Wanted


def attached(work):
    """Run ``work(hub, session)`` with one client that wants both outputs."""

    async def run():
        hub = Hub()
        session = await hub.open(Wanted(stdout=True, stderr=True), tty=False, stdin_once=True)
        return await asyncio.wait_for(work(hub, session), 5)

    return asyncio.run(run())


async def received(session):
    return [data async for _, data in session.output()]


def test_a_client_reads_all_and_then_the_end():
    async def work(hub, session):
        await hub.deliver(1, b"out")
        await hub.deliver(2, b"err")
        hub.end()
        return await received(session)

    assert attached(work) == [b"out", b"err"]


def test_the_end_does_not_wait_for_a_client_that_does_not_read():
    """Its queue is full: the process ends all the same, and the client still gets everything."""

    async def work(hub, session):
        for number in range(QUEUED_CHUNKS):
            await hub.deliver(1, str(number).encode())
        hub.end()
        return await received(session)

    assert attached(work) == [str(number).encode() for number in range(QUEUED_CHUNKS)]


def test_a_client_that_leaves_holds_nobody_back():
    async def work(hub, session):
        await session.close()
        for _ in range(QUEUED_CHUNKS * 2):
            await hub.deliver(1, b"x")
        return hub.wanted

    assert attached(work) is False
