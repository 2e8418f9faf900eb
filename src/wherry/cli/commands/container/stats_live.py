"""``wherry stats`` without ``--no-stream``: many streams of readings and one screen, in one poll loop."""

from __future__ import annotations

import select
import time

from wherry.cli.commands.container.live import open_connection
from wherry.cli.commands.container.stats import Watched
from wherry.cli.errors import join
from wherry.client import container, system
from wherry.client.errors import ClientError
from wherry.client.jsonio import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed
    from wherry.client.http import Response


class _Streams:
    """The open streams: each feeds one container's readings, one more brings the daemon's events."""

    def __init__(self, app: App, watched: list[Watched]) -> None:
        self._app = app
        self._watched = watched
        self._poll = select.poll()
        self._open: dict[int, tuple[Response, Iterator[bytes], Watched | None]] = {}

    def watch(self, one: Watched) -> None:
        try:
            response = container.stats(open_connection(self._app), one.name, stream=True)
        except ClientError as error:
            one.error, one.done = error, True
            return
        self._add(response, one)

    def watch_events(self) -> None:
        filters = dumps({"type": {"container": True}})
        self._add(system.events(open_connection(self._app), {"filters": filters}), None)

    def _add(self, response: Response, one: Watched | None) -> None:
        fd = response.fileno()
        self._open[fd] = (response, response.lines(), one)
        self._poll.register(fd, select.POLLIN)

    def serve(self, seconds: float, *, every: bool) -> None:
        """Take in what arrives within that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left * 1000):
                self._read(fd, every=every)

    def _read(self, fd: int, *, every: bool) -> None:
        response, lines, one = self._open[fd]
        try:
            line = next(lines)
        except (StopIteration, ClientError):
            self._poll.unregister(fd)
            del self._open[fd]
            response.close()
            if one is not None:
                one.done = True
            return
        if one is not None:
            one.set(loads(line))
            return
        self._happened(loads(line), every=every)

    def _happened(self, event: dict[str, object], *, every: bool) -> None:
        actor = event.get("Actor")
        name = str(actor.get("ID", ""))[:12] if isinstance(actor, dict) else ""
        known = next((one for one in self._watched if one.name == name), None)
        action = event.get("Action")
        if known is None and (action == "start" or (every and action == "create")):
            new = Watched(name)
            self._watched.append(new)
            self.watch(new)
        elif known is not None and action == "die" and not every:
            self._watched.remove(known)


def follow(
    app: App, options: Parsed, watched: list[Watched], text: Callable[[], str], *, period: float, silence: float
) -> int:
    """Draw the screen again and again. Ends when the containers named are all gone, or by Ctrl-C."""
    streams = _Streams(app, watched)
    named = bool(options.args)
    if not named:
        streams.watch_events()
    for one in watched:
        streams.watch(one)
    if named:
        join([str(one.error) for one in watched if one.error is not None])
    deadline = time.monotonic() + silence
    while any(not one.valid and not one.done for one in watched) and time.monotonic() < deadline:
        streams.serve(0.1, every=options["all"])
    while True:
        streams.serve(period, every=options["all"])
        for one in watched:
            if time.monotonic() - one.heard > silence:
                one.valid = False
        lines = text().split("\n")
        app.out("\x1b[H" + "".join(f"{line} \x1b[K\n" for line in lines) + "\x1b[J")
        if named and all(one.done for one in watched):
            return 0
