"""A running program's stdio: from its pipes or terminal to the log and the daemon, and back. One poll loop.

Back-pressure, as in Docker: once a subscriber has ``BACKLOG`` bytes unsent, the program's output is not read any more
until it has caught up. A subscriber that is gone is forgotten. Without one, output goes to the log alone.

When the program has ended, what its pipes hold at that moment is read whatever the backlog, so that nothing it wrote is
lost (R11). Then their end is awaited for ``LINGER`` seconds: somebody else may have them open, a background child of an
exec for one.
"""

from __future__ import annotations

import os
import select
import time

from wherry.linux import pty, signals, sockets
from wherry.runtime import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.runtime.shim_log import JsonLogFile
    from wherry.runtime.shim_start import Child

BACKLOG = 1 << 20
LINGER = 2.0
_CHUNK = 65536
_LARGEST_PIPE = 1 << 20  # fs.pipe-max-size
_FLUSH_TIMEOUT = 30.0


class Peer:
    """One connection to the daemon."""

    def __init__(self, connection: sockets.Socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.subscribed = False
        self.gone = False
        self._unsent = bytearray()
        self._decoder = frames.Decoder()

    @property
    def backlog(self) -> int:
        """Bytes that wait for the daemon to read."""
        return len(self._unsent)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Queue a frame, and send what can be sent."""
        if not self.gone:
            self._unsent += frames.HEADER.pack(kind, len(payload))
            self._unsent += payload
            self.flush()

    def greet(self, greeting: bytes) -> None:
        """Queue frames that are packed already."""
        self._unsent += greeting
        self.flush()

    def answer(self, kind: int, payload: bytes, timeout: float) -> None:
        """Send a last frame and hang up."""
        self.send(kind, payload)
        if self.backlog:
            self.connection.settimeout(timeout)
            self.flush()
        self.close()

    def alive(self) -> bool:
        """Whether the daemon still has its end open."""
        poller = select.poll()
        poller.register(self.connection.fileno(), 0)
        return not any(event & select.POLLHUP for _, event in poller.poll(0))

    def flush(self) -> None:
        """Send what the connection takes now."""
        try:
            while self._unsent:
                del self._unsent[: self.connection.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def receive(self) -> list[tuple[int, bytes]]:
        """The frames that have arrived; none and ``gone`` when it has ended."""
        try:
            data = self.connection.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if data:
            try:
                return list(self._decoder.feed(data))
            except frames.FrameError:
                pass
        self.close()
        return []

    def close(self) -> None:
        """Forget the connection."""
        if not self.gone:
            self.gone = True
            self._unsent.clear()
            self.connection.close()


class Streams:
    """The loop, from the program's start to its end."""

    def __init__(self, child: Child, log: JsonLogFile | None, peer: Peer) -> None:
        self.peers = [peer]
        self.exit_code = -1
        """0-255 once the program has ended."""
        self.exit_time = 0
        """ns since the epoch."""
        self._child = child
        self._log = log
        self._listener: sockets.Socket | None = None
        self._greeting = b""
        self._input: list[tuple[Peer, bytes]] = []
        self._close_input = False
        self._deadline = 0.0
        # A child's end interrupts nothing by itself: it is made a byte in this pipe.
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signals.handle(signals.SIGCHLD, _ignore)
        signals.wake_by(wake)

    def listen(self, listener: sockets.Socket, greeting: bytes) -> None:
        """Accept further connections, each greeted with these frames."""
        self._listener = listener
        self._greeting = greeting

    def run(self, at_exit: Callable[[], None]) -> None:
        """Until the program has ended and its output is drained into the log and the peers' queues.

        ``at_exit`` is called in between, as soon as it has ended.
        """
        self._reap()
        while self.exit_code < 0:
            self._turn(None)
        at_exit()
        self._deadline = time.monotonic() + LINGER
        self._drain()
        while self._child.outputs and (left := self._deadline - time.monotonic()) > 0:
            self._turn(left)
        self._drain()
        for fd in list(self._child.outputs):
            self._close_output(fd)
        self._reap()

    def finish(self) -> None:
        """Let the peers read what is queued, then hang up; one that reads nothing for 30 s is given up."""
        if self._listener is not None:
            self._listener.close()
        while waiting := [peer for peer in self.peers if peer.backlog]:
            poller = select.poll()
            for peer in waiting:
                poller.register(peer.connection.fileno(), select.POLLOUT)
            if not poller.poll(_FLUSH_TIMEOUT * 1000):
                break
            for peer in waiting:
                peer.flush()
        for peer in self.peers:
            peer.close()

    def _turn(self, timeout: float | None) -> None:
        """Wait for something to do, and do it."""
        poller = select.poll()
        for fd, mask in self._interest().items():
            poller.register(fd, mask)
        peers = {peer.connection.fileno(): peer for peer in self.peers}
        busy = self._log is not None and self._log.busy
        for fd, event in poller.poll(0 if busy else None if timeout is None else timeout * 1000):
            if fd in peers:
                self._serve(peers[fd], event)
            elif fd == self._wake:
                self._reap()
            elif self._listener is not None and fd == self._listener.fileno():
                self._accept()
            else:
                self._program(fd, event)
        if busy and self._log is not None:
            self._log.step()
        if any(peer.gone for peer in self.peers):
            self.peers = [peer for peer in self.peers if not peer.gone]

    def _interest(self) -> dict[int, int]:
        """What to wait for, by descriptor: a terminal is read and written by the same."""
        interest: dict[int, int] = {self._wake: select.POLLIN}
        if self._listener is not None:
            interest[self._listener.fileno()] = select.POLLIN
        held = any(peer.backlog >= BACKLOG for peer in self.peers)
        for fd in () if held else self._child.outputs:
            interest[fd] = select.POLLIN
        if self._input and self._child.stdin >= 0:
            interest[self._child.stdin] = interest.get(self._child.stdin, 0) | select.POLLOUT
        for peer in self.peers:
            interest[peer.connection.fileno()] = select.POLLIN | (select.POLLOUT if peer.backlog else 0)
        return interest

    def _program(self, fd: int, event: int) -> None:
        """The program's side of a pipe or of the terminal."""
        if fd == self._child.stdin and event & (select.POLLOUT | select.POLLERR):
            self._write_input()
        if fd in self._child.outputs and event & ~select.POLLOUT:
            self._read_output(fd)

    def _read_output(self, fd: int) -> int:
        """One read; the number of bytes, 0 when there is nothing now or nothing any more."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: the last replica of the terminal is closed
        if not data:
            self._close_output(fd)
            return 0
        stream = self._child.outputs[fd]
        if self._log is not None:
            self._log.write(stream, data)
        for peer in self.peers:
            if peer.subscribed:
                peer.send(frames.STDOUT if stream == 1 else frames.STDERR, data)
        return len(data)

    def _drain(self) -> None:
        """Read what is there now, however much is queued; bounded, because somebody may still be writing."""
        for fd in list(self._child.outputs):
            left = _LARGEST_PIPE
            while left > 0 and (count := self._read_output(fd)):
                left -= count

    def _close_output(self, fd: int) -> None:
        stream = self._child.outputs.pop(fd)
        if self._log is not None:
            self._log.finish(stream)
        if fd == self._child.stdin:
            self._child.stdin = -1
        os.close(fd)
        if fd == self._child.terminal:
            self._child.terminal = -1
        if self._child.stdin < 0:
            self._drop_input()

    def _write_input(self) -> None:
        child = self._child
        while self._input and child.stdin >= 0:
            peer, data = self._input[0]
            try:
                count = os.write(child.stdin, data)
            except BlockingIOError:
                return
            except OSError:
                self._end_input()  # EPIPE: the program has closed its stdin
                return
            peer.send(frames.STDIN_ACK, frames.COUNT.pack(count))
            if count < len(data):
                self._input[0] = (peer, data[count:])
            else:
                del self._input[0]
        if self._close_input and not self._input:
            self._end_input()

    def _end_input(self) -> None:
        if self._child.stdin >= 0 and self._child.stdin != self._child.terminal:
            os.close(self._child.stdin)
            self._child.stdin = -1
        self._drop_input()

    def _drop_input(self) -> None:
        """Nobody will read it: take it off the senders' windows all the same."""
        for peer, data in self._input:
            peer.send(frames.STDIN_ACK, frames.COUNT.pack(len(data)))
        self._input.clear()

    def _serve(self, peer: Peer, event: int) -> None:
        if event & select.POLLOUT:
            peer.flush()
        if not event & ~select.POLLOUT or peer.gone:
            return
        for kind, payload in peer.receive():
            if kind == frames.STDIN:
                self._input.append((peer, payload))
                self._drop_input() if self._child.stdin < 0 else self._write_input()
            elif kind == frames.STDIN_CLOSE:
                # A terminal has no end of file but the character for it.
                self._close_input = self._child.terminal < 0
                self._write_input()
            elif kind == frames.RESIZE and self._child.terminal >= 0:
                pty.resize(self._child.terminal, *frames.SIZE.unpack(payload))
            elif kind in (frames.SUBSCRIBE, frames.UNSUBSCRIBE):
                peer.subscribed = kind == frames.SUBSCRIBE

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection = sockets.accept(self._listener)
        except OSError:
            return
        peer = Peer(connection)
        self.peers.append(peer)
        peer.greet(self._greeting)

    def _reap(self) -> None:
        """Collect every child that has ended: ours, and orphans that a shared pid namespace has left to us."""
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child.pid:
                code = os.waitstatus_to_exitcode(status)
                self.exit_code = code if code >= 0 else 128 - code
                self.exit_time = time.time_ns()


def _ignore(_number: int, _frame: object) -> None:
    """A handler must stand, or the signal would not be noticed at all."""
