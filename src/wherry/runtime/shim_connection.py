"""The daemon's view of one shim: a running program, its streams, and how it ends.

Truth is polled, events are hints (R3): the program's end is seen by its pidfd even if its shim never speaks again, and
``exit.json`` counts more than a frame. No call here waits for a shim.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal as signals
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from wherry.lib.clock import now_ns
from wherry.linux import pidfd
from wherry.linux.cgroups import CgroupError, Cgroups
from wherry.runtime import foreign_command, frames
from wherry.runtime.model import ExitStatus

Sink = Callable[[int, bytes], Awaitable[None]]
"""Called with (1 stdout | 2 stderr, bytes); while it waits, the program's output is held back."""

_CHUNK = 65536
_FIRST_SINK_TIMEOUT = 10.0
_POLL = 0.02
_PATIENCE = 15.0
"""How long a shim that runs may take from its program's end to exit.json: it drains, kills and removes groups."""
_STOPPED_PATIENCE = 1.0
_STALLED = 2.0
"""How long output may stand still between exit.json and the end that comes behind the last output."""
_KILL_TIMEOUT = 10.0
_KILLED = 128 + signals.SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """shim.json."""

    shim_pid: int
    shim_start: int
    pid: int
    start: int
    cgroup: str

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Out of the file or a STARTED frame."""
        fields = json.loads(data)
        return cls(**{name: fields[name] for name in ("shim_pid", "shim_start", "pid", "start", "cgroup")})


class Link:
    """A connection to a shim, with the frames that have been read from it already."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._decoder = frames.Decoder()
        self._pending: deque[tuple[int, bytes]] = deque()

    @classmethod
    async def open(cls, connection: socket.socket) -> Link:
        """Over a connected socket, which it then owns."""
        return cls(*await asyncio.open_unix_connection(sock=connection))

    async def next(self) -> tuple[int, bytes] | None:
        """The next frame; None at the end. Raises OSError, FrameError."""
        while not self._pending:
            data = await self._reader.read(_CHUNK)
            if not data:
                return None
            self._pending.extend(self._decoder.feed(data))
        return self._pending.popleft()


class Subscription:
    """One sink's share of the output, until ``close``."""

    def __init__(self, shim: Shim, sink: Sink) -> None:
        self.sink = sink
        self._shim = shim

    def close(self) -> None:
        """No more output for this sink; the shim stops sending when it was the last."""
        self._shim.unsubscribe(self)


class Shim:
    """A program that a shim holds. Made by Launcher. Its descriptors go when the program has ended and all its output
    has been given out, or by ``close``, which leaves the program alone.
    """

    def __init__(
        self,
        bundle: Path,
        record: Record,
        link: Link,
        *,
        attached: bool,
        cgroups: Cgroups | None,
        closed: Callable[[Shim], None],
    ) -> None:
        self.bundle = bundle
        self.pid = record.pid
        """The program's process id in the host's namespace (with --init: of the init before it)."""
        self.shim_pid = record.shim_pid
        self._record = record
        self._link = link
        self._writer = link.writer
        self._cgroups = cgroups
        self._closed = closed
        self._subscriptions: list[Subscription] = []
        self._sending = attached
        self._first_sink = asyncio.Event()
        self._window = frames.STDIN_WINDOW
        self._window_moved = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._pidfd = pidfd.open_verified(record.pid, record.start)
        self._watching = False
        self._moved = self._loop.time()
        self._tasks: set[asyncio.Task[None]] = set()
        if self._pidfd is None:
            self._own(self._conclude())
        else:
            self._watching = True
            self._loop.add_reader(self._pidfd, self._program_ended)
        self._own(self._read())

    async def wait(self) -> ExitStatus:
        """How the program ended, once it has; any number may wait."""
        return await asyncio.shield(self._ended)

    @property
    def status(self) -> ExitStatus | None:
        """How the program ended; None while it runs."""
        return self._ended.result() if self._ended.done() and not self._ended.cancelled() else None

    async def signal(self, number: int) -> bool:
        """Send a signal to the program, past the shim; whether it was there to receive it."""
        return self._pidfd is not None and not self._ended.done() and pidfd.send_signal(self._pidfd, number)

    async def resize(self, height: int, width: int) -> None:
        """The terminal's new size in rows and columns; nothing without a terminal."""
        self._send(frames.RESIZE, frames.SIZE.pack(height & 0xFFFF, width & 0xFFFF))

    async def write_stdin(self, data: bytes) -> None:
        """Send input; waits while the program does not read. Dropped once the program has ended or closed its stdin."""
        view = memoryview(data)
        while view and not self._ended.done() and not self._writer.is_closing():
            if self._window <= 0:
                self._window_moved.clear()
                await self._window_moved.wait()
                continue
            chunk = view[: min(_CHUNK, self._window)]
            view = view[len(chunk) :]
            self._window -= len(chunk)
            self._send(frames.STDIN, bytes(chunk))

    async def close_stdin(self) -> None:
        """End of file for the program, after what was sent; nothing with a terminal, which has a character for it."""
        self._send(frames.STDIN_CLOSE)

    async def subscribe(self, sink: Sink) -> Subscription:
        """Have the program's output from now on (from its first byte if started with ``attach``) given to ``sink``.

        ``wait`` returns after the last call of ``sink``, unless one call stands still for two seconds after the end. A
        sink that raises is unsubscribed.
        """
        subscription = Subscription(self, sink)
        self._subscriptions.append(subscription)
        self._first_sink.set()
        if not self._sending:
            self._sending = True
            self._send(frames.SUBSCRIBE)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """As ``subscription.close()``."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        if not self._subscriptions and self._sending:
            self._sending = False
            self._send(frames.UNSUBSCRIBE)

    async def close(self) -> None:
        """Hang up. The program, its shim and its log go on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._release()
        self._ended.cancel()

    def _own(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, kind: int, payload: bytes = b"") -> None:
        # Never drained: the window bounds stdin, the rest is a few bytes.
        if not self._writer.is_closing():
            self._writer.write(frames.pack(kind, payload))

    async def _read(self) -> None:
        try:
            while frame := await self._link.next():
                await self._dispatch(*frame)
        except (OSError, frames.FrameError):
            pass
        self._writer.close()
        if not self._ended.done():
            await self._conclude()
        self._release()

    async def _dispatch(self, kind: int, payload: bytes) -> None:
        self._moved = self._loop.time()
        if kind in (frames.STDOUT, frames.STDERR):
            await self._deliver(1 if kind == frames.STDOUT else 2, payload)
        elif kind == frames.STDIN_ACK:
            self._window += frames.COUNT.unpack(payload)[0]
            self._window_moved.set()
        elif kind == frames.EXIT:
            self._finish(_status(payload))

    async def _deliver(self, stream: int, data: bytes) -> None:
        if self._sending and not self._first_sink.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SINK_TIMEOUT):
                    await self._first_sink.wait()
        for subscription in list(self._subscriptions):
            try:
                await subscription.sink(stream, data)
            except Exception:  # noqa: BLE001  one client's fault must not cost the others their output
                self.unsubscribe(subscription)

    def _program_ended(self) -> None:
        self._unwatch()
        self._own(self._conclude())

    async def _conclude(self) -> None:
        """The program has ended or its shim has gone: find out how, whether or not the shim ever says so."""
        started = self._loop.time()
        shim = pidfd.open_verified(self.shim_pid, self._record.shim_start)
        try:
            while not self._ended.done():
                # In this order: what a shim that is gone has not written, it never will.
                gone = shim is None or self._given_up(shim, self._loop.time() - started)
                status = read_status(self.bundle)
                if status is not None:
                    if self._writer.is_closing() or self._loop.time() - max(started, self._moved) > _STALLED:
                        self._finish(status)  # else the frame comes, in its place behind the last output
                        return
                elif gone:
                    self._finish(await replace_shim(self.bundle, self._record, self._cgroups))
                    return
                await asyncio.sleep(_POLL)
        finally:
            if shim is not None:
                os.close(shim)

    def _given_up(self, shim: int, elapsed: float) -> bool:
        """Whether the shim is dead, or has been stopped by somebody, or is stuck."""
        fields = pidfd.stat_fields(self.shim_pid)
        if not fields or fields[0] in "ZX" or not pidfd.alive(shim):
            return True
        return elapsed > (_STOPPED_PATIENCE if fields[0] in "Tt" else _PATIENCE)

    def _finish(self, status: ExitStatus) -> None:
        if not self._ended.done():
            self._ended.set_result(status)
        self._window_moved.set()
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watching and self._pidfd is not None:
            self._watching = False
            self._loop.remove_reader(self._pidfd)

    def _release(self) -> None:
        self._unwatch()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._writer.close()
        self._closed(self)


def read_status(bundle: Path) -> ExitStatus | None:
    """exit.json, once it is there."""
    try:
        return _status((bundle / "exit.json").read_bytes())
    except FileNotFoundError:
        return None


async def replace_shim(bundle: Path, record: Record, cgroups: Cgroups | None) -> ExitStatus:
    """Do what a shim did not: end the program, clean up, write exit.json.

    A program without a shim has nobody to reap it, to read its output or to report its end: it is not left alone. (The
    kernel kills it with its shim already, unless it has cleared its death signal.)
    """
    code = _KILLED
    program = pidfd.open_verified(record.pid, record.start)
    if program is not None:
        try:
            fields = pidfd.stat_fields(record.pid)
            if fields and fields[0] == "Z" and len(fields) > 49:
                code = _code(int(fields[49]))
            pidfd.send_signal(program, signals.SIGKILL)
            shim = pidfd.open_verified(record.shim_pid, record.shim_start)
            if shim is not None:
                pidfd.send_signal(shim, signals.SIGKILL)
                os.close(shim)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL_TIMEOUT):
                    while pidfd.alive(program):  # noqa: ASYNC110  a process sets no Event
                        await asyncio.sleep(_POLL)
        finally:
            os.close(program)
    status = ExitStatus(code=code, finished_at=now_ns(), oom_killed=False)
    if record.cgroup and cgroups is not None:
        with contextlib.suppress(CgroupError):
            await asyncio.to_thread(cgroups.kill, record.cgroup)
            await asyncio.to_thread(cgroups.remove, record.cgroup)
    await foreign_command.forget(bundle)
    with contextlib.suppress(OSError):
        (bundle / "shim.sock").unlink()
    with contextlib.suppress(OSError):
        (bundle / "rootfs").rmdir()
    with contextlib.suppress(OSError):
        staged = bundle / "exit.json.tmp"
        staged.write_bytes(json.dumps({"code": code, "finished_at": status.finished_at, "oom_killed": False}).encode())
        staged.rename(bundle / "exit.json")
    return status


def _status(data: bytes) -> ExitStatus:
    fields = json.loads(data)
    return ExitStatus(code=fields["code"], finished_at=fields["finished_at"], oom_killed=fields["oom_killed"])


def _code(wait_status: int) -> int:
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code
