"""Carrying a foreground process's input and output between its pipes or terminal and ours, until it has ended.

What we write to that is not ours may block, so we write no more at a time than poll(2) has promised room for; input is
read only when the last is gone, so a process that does not read stops whoever feeds us.
"""

from __future__ import annotations

import os
import select

_READ = 32768
_ROOM = 4096
"""PIPE_BUF: what fits when poll(2) says that something does."""


class Relay:
    """All the streams of one process."""

    def __init__(self, wake: int) -> None:
        self._poller = select.poll()
        self._pumps: list[_Pump] = []
        self._wake = wake
        self._poller.register(wake, select.POLLIN)

    def carry(self, source: int, target: int, *, ours: bool = False, output: bool = True) -> None:
        """From ``source`` to ``target``, which is closed at the end if it is ``ours``.

        ``drained`` waits for the ``output``; its source is ours to close.
        """
        self._pumps.append(_Pump(source, target, ours=ours, output=output))

    def turn(self) -> None:
        """Wait until something can be carried, or a signal has come; do the one, leave the other to the caller."""
        wanted: dict[int, int] = {}
        for pump in self._pumps:
            fd, event = pump.waits_for()
            if fd >= 0:
                wanted[fd] = wanted.get(fd, 0) | event
        for fd, event in wanted.items():
            self._poller.register(fd, event)
        ready = dict(self._poller.poll())
        for fd in wanted:
            self._poller.unregister(fd)
        for pump in self._pumps:
            fd, _ = pump.waits_for()
            if fd in ready:
                pump.move(ready[fd])
        if self._wake in ready:
            _empty(self._wake)

    @property
    def drained(self) -> bool:
        """Whether all output has been carried to its end."""
        return all(pump.done for pump in self._pumps if pump.output)

    def close(self) -> None:
        """Let go of what is ours."""
        for pump in self._pumps:
            pump.finish()


class _Pump:
    def __init__(self, source: int, target: int, *, ours: bool, output: bool) -> None:
        self.done = False
        self.output = output
        self._source = source
        self._target = target
        self._ours = ours
        self._data = b""

    def waits_for(self) -> tuple[int, int]:
        if self.done:
            return -1, 0
        return (self._target, select.POLLOUT) if self._data else (self._source, select.POLLIN)

    def move(self, events: int) -> None:
        try:
            if events & select.POLLNVAL:
                self.finish()
            elif self._data:
                self._data = self._data[os.write(self._target, self._data[:_ROOM]) :]
            else:
                self._data = os.read(self._source, _READ)
                if not self._data:
                    self.finish()
        except BlockingIOError:
            return
        except OSError:
            # EIO: the terminal's other side is gone. EPIPE: nobody reads any more.
            self.finish()

    def finish(self) -> None:
        """No more from here; whoever writes to us learns that."""
        if self.done:
            return
        self.done = True
        if self._ours:
            os.close(self._target)
        if self.output:
            os.close(self._source)


def _empty(fd: int) -> None:
    try:
        while os.read(fd, 512):
            pass
    except BlockingIOError:
        return
