"""Long blocking work beside the event loop, that ends when its caller is cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import TypeVar

from wherry.diff.errors import Stopped

T = TypeVar("T")

QUEUE_BYTES = 8 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
AHEAD = 4
"""Pieces of ``from_thread`` that may wait for the event loop."""


async def interruptible(work: Callable[[threading.Event], T]) -> T:
    """Run ``work`` in a thread. When cancelled, set its event and wait until it has let go of everything."""
    stop = threading.Event()
    return await to_its_end(asyncio.ensure_future(asyncio.to_thread(work, stop)), stop)


async def in_own_thread(work: Callable[[], T], stop: threading.Event) -> T:
    """Run ``work`` in a thread made for it. When cancelled, set ``stop`` and wait until it has let go of everything.

    For work that waits for other threads: those of the pool are few, and waiting there it could keep them from running.
    """
    return await to_its_end(own_thread(work), stop)


def own_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Begin ``work`` in a thread made for it; the future cannot be cancelled, wait with ``outlast``."""
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001  handed to who awaits
            result.set_exception(error)

    threading.Thread(target=run, name="transfer").start()
    return asyncio.wrap_future(result)


async def to_its_end(work: asyncio.Future[T], stop: threading.Event | None = None) -> T:
    """What comes of ``work``. When cancelled, set ``stop`` and wait until it has let go of everything."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        await outlast(work)
        raise


async def outlast(thread: asyncio.Future[T]) -> BaseException | None:
    """Wait until a thread that was told to stop has ended, however often the caller is cancelled; what it raised."""
    while not thread.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([thread])
    return None if thread.cancelled() else thread.exception()


async def give_up(task: asyncio.Future[T]) -> None:
    """Cancel a task that nobody waits for any more, if it has not ended, and wait until it has cleaned up."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task])


class Pipe:
    """Bytes from the event loop to one thread, with back-pressure.

    The loop side runs ``feed``; the thread side calls ``read``, and ``abandon`` when it wants no more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = threading.Condition()
        self._room = asyncio.Event()
        self._chunks: deque[bytes] = deque()
        self._current = memoryview(b"")
        self._queued = 0
        self._ended = False
        self._broken = False
        self._abandoned = False

    async def feed(self, chunks: AsyncIterator[bytes]) -> None:
        """Pass on every chunk, then the end; however this ends, the reader learns of it."""
        try:
            async for chunk in chunks:
                await self._put(chunk)
                if self._abandoned:
                    return
            self._finish(broken=False)
        except BaseException:
            self._finish(broken=True)
            raise

    async def _put(self, chunk: bytes) -> None:
        with self._ready:
            self._chunks.append(chunk)
            self._queued += len(chunk)
            full = self._queued > QUEUE_BYTES and not self._abandoned
            if full:
                self._room.clear()
            self._ready.notify()
        if full:
            await self._room.wait()

    def _finish(self, *, broken: bool) -> None:
        with self._ready:
            self._ended, self._broken = True, broken
            self._ready.notify()

    def read(self, size: int = QUEUE_BYTES, /) -> bytes:
        """At most ``size`` bytes, waiting for some; empty at the end. Raises Stopped when the sender failed."""
        if not self._current:
            self._current = memoryview(self._next())
        data, self._current = bytes(self._current[:size]), self._current[size:]
        return data

    def _next(self) -> bytes:
        with self._ready:
            while not self._chunks and not self._ended:
                self._ready.wait()
            if self._broken:
                raise Stopped
            if not self._chunks:
                return b""
            data = self._chunks.popleft()
            self._queued -= len(data)
            roomy = self._queued <= QUEUE_BYTES // 2
        if roomy:
            self._loop.call_soon_threadsafe(self._room.set)
        return data

    def abandon(self) -> None:
        """The reader has failed or has enough: let the sender go."""
        with self._ready:
            self._abandoned = True
            self._chunks.clear()
            self._queued = 0
        self._loop.call_soon_threadsafe(self._room.set)


async def through_pipe(chunks: AsyncIterator[bytes], work: Callable[[Pipe], T]) -> T:
    """Run ``work`` in a thread on the bytes of ``chunks``. Raises what either side raises, the thread's first."""
    pipe = Pipe()

    def run() -> T:
        try:
            return work(pipe)
        finally:
            pipe.abandon()

    # Of its own, for it waits for a client: those of the pool are few.
    thread = own_thread(run)
    try:
        await pipe.feed(chunks)
        return await asyncio.shield(thread)
    except BaseException:
        # Without a sender, or with all that it sent, the thread ends by itself.
        failure = await outlast(thread)
        if failure is not None and not isinstance(failure, Stopped):
            raise failure from None
        raise


async def from_thread(
    make: Callable[[threading.Event], Iterator[bytes]], *, piece: int = PIECE_BYTES
) -> AsyncGenerator[bytes, None]:
    """What the iterator of ``make`` gives in a thread of its own, joined to pieces of at least ``piece`` bytes.

    The thread is at most ``AHEAD`` pieces ahead. Raises what it raises; its event is set when the caller goes.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)
    stop = threading.Event()

    def hand(data: bytes | None) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, data)

    def work() -> None:
        try:
            for data in _joined(make(stop), piece):
                room.acquire()
                if stop.is_set():
                    return
                hand(data)
        finally:
            hand(None)

    thread = own_thread(work)
    try:
        while (data := await pieces.get()) is not None:
            yield data
            room.release()
        await asyncio.shield(thread)
    finally:
        stop.set()
        room.release()
        await outlast(thread)


def read_ahead(read: Callable[[], bytes], pieces: int = AHEAD) -> Generator[bytes, None, None]:
    """What ``read`` gives until it gives nothing, read by a thread of its own that is at most ``pieces`` ahead.

    Raises what ``read`` raises. Close it: then the thread ends after its present piece, and is waited for.
    """
    waiting: queue.Queue[bytes | BaseException] = queue.Queue(pieces)
    enough = threading.Event()

    def work() -> None:
        piece: bytes | BaseException = b""
        while not enough.is_set():
            try:
                piece = read()
            except BaseException as error:  # noqa: BLE001  raised to who asks
                piece = error
            waiting.put(piece)
            if not piece or isinstance(piece, BaseException):
                return

    thread = threading.Thread(target=work, name="read ahead")
    thread.start()
    try:
        while piece := waiting.get():
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        enough.set()
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        thread.join()  # it puts down one more piece at most, and for that there is room now


def _joined(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Small parts together, large ones as they are."""
    waiting: list[bytes] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= size:
            yield b"".join(waiting) if len(waiting) > 1 else part
            waiting, count = [], 0
    if waiting:
        yield b"".join(waiting)
