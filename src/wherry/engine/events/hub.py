"""The hub: events come in by ``emit``, go to live listeners and, in batches, into the journal.

A listener is a cursor, not a queue: it holds the sequence number of the last event it got and reads on from there, out
of memory while it keeps up, out of the journal when it has fallen behind. So a slow listener costs no memory, stalls
nobody, and sees each event once and in order; it loses the oldest only when it falls behind by the whole journal.
History is the same cursor, started earlier, and has no seam with what is live.

An event is durable once its batch is committed, ``BATCH_DELAY_S`` after it was emitted; a daemon killed in between
forgets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping

from wherry.engine.events.filter import EventFilter
from wherry.lib.clock import now_ns
from wherry.lib.errors import Internal
from wherry.lib.filters import Filters
from wherry.state.database import Database
from wherry.state.event import EventJournal, EventRecord
from wherry.wire.event import EventActor, EventMessage

KEEP = 20_000
"""Events that the journal remembers."""
RECENT = 1_024
"""Stored events that stay in memory as well."""
PAGE = 256
BATCH_DELAY_S = 0.05
RETRY_DELAY_S = 5.0

_log = logging.getLogger(__name__)


class Events:
    """The events of one daemon. Belongs to one event loop; ``start`` it, and ``close`` it in the end."""

    def __init__(self, database: Database, *, keep: int = KEEP) -> None:
        self._journal = EventJournal(database, keep=keep)
        self._keep = keep
        self._sequence = self._stored = self._journal.last_sequence()
        self._recent: deque[EventRecord] = deque()
        self._pending = asyncio.Event()
        self._waiting: set[asyncio.Event] = set()
        self._listeners = 0
        self._observers: list[Callable[[str, str, str], None]] = []
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write the journal."""
        self._writer = asyncio.create_task(self._write(), name="event journal")

    async def close(self) -> None:
        """End every subscription, store what is not stored yet, stop."""
        self._closing.set()
        self._wake()
        self._pending.set()
        if self._writer is not None:
            await self._writer
            self._writer = None

    @property
    def listeners(self) -> int:
        """How many subscriptions are being read."""
        return self._listeners

    def emit(
        self,
        type: str,  # noqa: A002  # the API's word
        action: str,
        actor: str,
        attributes: Mapping[str, str],
        scope: str = "local",
    ) -> None:
        """Tell that ``action`` happened to ``actor``, an object of kind ``type``. Neither waits nor fails."""
        self._sequence += 1
        record = EventRecord(
            sequence=self._sequence,
            time_ns=now_ns(),
            type=type,
            action=_encodable(action),
            actor=_encodable(actor),
            attributes={name: _encodable(value) for name, value in attributes.items()},
            scope=scope,
        )
        self._recent.append(record)
        self._forget()
        self._pending.set()
        self._wake()
        for observer in self._observers:
            observer(type, action, actor)

    def observe(self, observer: Callable[[str, str, str], None]) -> None:
        """Call ``observer`` with type, action and actor of every event, at once: it must neither wait nor fail."""
        self._observers.append(observer)

    def subscribe(
        self,
        since_ns: int | None = None,
        until_ns: int | None = None,
        filters: Filters | None = None,
    ) -> AsyncGenerator[EventMessage, None]:
        """The events from this call on, in order, those that ``filters`` asks for, without gap or repetition.

        With ``since_ns`` or ``until_ns`` (ns since the epoch) the remembered events of that span come first. The
        iterator ends at ``until_ns``, at once if that has passed, or when the hub is closed.
        """
        wanted = EventFilter(filters or Filters())
        live_after = self._sequence
        cursor = live_after if since_ns is None and until_ns is None else self._history_start(since_ns or 0)
        return self._listen(wanted, cursor, live_after, since_ns or 0, until_ns)

    async def _listen(
        self,
        wanted: EventFilter,
        cursor: int,
        live_after: int,
        since_ns: int,
        until_ns: int | None,
    ) -> AsyncGenerator[EventMessage, None]:
        self._listeners += 1
        try:
            while True:
                for record in self._after(cursor):
                    cursor = record.sequence
                    if record.sequence <= live_after and record.time_ns < since_ns:
                        continue
                    if until_ns is not None and record.time_ns > until_ns:
                        continue
                    if wanted.matches(record.type, record.action, record.actor, record.attributes, record.scope):
                        yield _message(record)
                if cursor >= self._sequence and not await self._news(cursor, until_ns):
                    return
        finally:
            self._listeners -= 1

    def _history_start(self, since_ns: int) -> int:
        for record in self._recent:
            if record.time_ns >= since_ns:
                return min(record.sequence - 1, self._journal.before(since_ns))
        return self._journal.before(since_ns)

    def _after(self, cursor: int) -> list[EventRecord]:
        """The next events after ``cursor``, at most ``PAGE``; empty only when there are none."""
        if self._recent and self._recent[0].sequence <= cursor + 1:
            skip = cursor + 1 - self._recent[0].sequence
            return [self._recent[place] for place in range(skip, min(skip + PAGE, len(self._recent)))]
        stored = self._journal.page(cursor, PAGE)
        return stored or list(self._recent)[:PAGE]

    async def _news(self, cursor: int, until_ns: int | None) -> bool:
        """Wait for an event after ``cursor``; false when none will come any more."""
        remaining_ns = None if until_ns is None else until_ns - now_ns()
        if self._closing.is_set() or (remaining_ns is not None and remaining_ns <= 0):
            return False
        wake = asyncio.Event()
        self._waiting.add(wake)
        try:
            async with asyncio.timeout(None if remaining_ns is None else remaining_ns / 1e9):
                await wake.wait()
        except TimeoutError:
            return cursor < self._sequence
        else:
            return True
        finally:
            self._waiting.discard(wake)

    def _wake(self) -> None:
        for waiting in self._waiting:
            waiting.set()

    def _forget(self) -> None:
        """Drop from memory what is stored, keeping some; and what could not be stored for too long."""
        while len(self._recent) > RECENT and (
            self._recent[0].sequence <= self._stored or len(self._recent) > self._keep
        ):
            self._recent.popleft()

    async def _write(self) -> None:
        while not self._closing.is_set() or self._stored < self._sequence:
            await self._pending.wait()
            self._pending.clear()
            await self._pause(BATCH_DELAY_S)
            batch = [record for record in self._recent if record.sequence > self._stored]
            if not batch:
                continue
            try:
                await self._journal.append(batch)
            except (Internal, sqlite3.Error):
                _log.exception("%d events cannot be stored yet", len(batch))
                if self._closing.is_set():
                    return
                self._pending.set()
                await self._pause(RETRY_DELAY_S)
            else:
                self._stored = batch[-1].sequence
                self._forget()

    async def _pause(self, seconds: float) -> None:
        """Let time pass, but not while closing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()


def _message(record: EventRecord) -> EventMessage:
    legacy = record.type in ("container", "image")
    return EventMessage(
        status=record.action if legacy else "",
        id=record.actor if legacy else "",
        from_=record.attributes.get("image", "") if record.type == "container" else "",
        type=record.type,
        action=record.action,
        actor=EventActor(id=record.actor, attributes=record.attributes),
        scope=record.scope,
        time=record.time_ns // 1_000_000_000,
        time_nano=record.time_ns,
    )


def _encodable(text: str) -> str:
    """``text`` without what UTF-8 cannot say (lone surrogates out of file names)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
