"""One process under way, a container's first or an exec's: its streams, its terminal, its pid file, and its end.

launch = Launch(process, options, …)      what the command line and the process want agrees
launch.open()                              the pipes, or the terminal, that they make of it
launch.fork(start), launch.listen(start)   until the program runs, or only waits
launch.write_pid_file(pid)
launch.wait(pid)                           in the foreground: the exit code
"""

from __future__ import annotations

import errno
import os

from wherry.runtime import seccomp_agent
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_program import CHANNEL
from wherry.runtime.oci.errors import Failure, strerror
from wherry.runtime.oci.signals import SIGCHLD, SIGWINCH, Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.runtime.oci.arguments import Options
    from wherry.runtime.oci.console import ConsoleSocket, HostTerminal
    from wherry.runtime.oci.report import Report
    from wherry.runtime.start import Start

    Json = dict[str, Any]


class Launch:
    """See the module. Raises Failure."""

    def __init__(
        self,
        process: Json,
        options: Options,
        report: Report,
        *,
        detach: bool,
        pid_file: str,
        signals: Signals,
        listening: int = 0,
    ) -> None:
        self._report = report
        self._detach = detach
        self._terminal = bool(process.get("terminal"))
        self.signals = signals
        self.listening = listening
        """How many descriptors from 3 on are sockets of systemd's protocol, sd_listen_fds(3)."""
        self.keep = listening + _check_preserved(options.number("preserve-fds"), CHANNEL + listening)
        """How many from 3 on the process is to have."""
        self._pid_file = pid_file
        self._console_path = options.text("console-socket")
        if detach and self._terminal and not self._console_path:
            raise Failure("cannot allocate tty if runc will detach without setting console socket")
        if self._console_path and (not detach or not self._terminal):
            raise Failure("cannot use console socket if runc will not detach or allocate tty")
        self._socket: ConsoleSocket | None = None
        self._host: HostTerminal | None = None
        self._master = -1
        self._pipes: tuple[int, ...] = ()
        """Our ends of stdin, stdout and stderr."""
        self._theirs: tuple[int, ...] = ()

    def open(self, owner: tuple[int, int] = (0, 0)) -> None:
        """The other side of the process's streams; pipes belong to ``owner``, root of its user namespace."""
        if self._terminal:
            from wherry.runtime.oci import console  # noqa: PLC0415  for terminals alone

            if self._detach:
                self._socket = console.ConsoleSocket(self._console_path)
            else:
                self._host = console.HostTerminal()
            return
        if self._detach:
            self._theirs = (0, 1, 2)
            return
        ends = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        for read, write in ends:
            for fd in (read, write):
                if owner != (0, 0):
                    os.fchown(fd, *owner)
        self._theirs = (ends[0][0], ends[1][1], ends[2][1])
        self._pipes = (ends[0][1], ends[1][0], ends[2][0])

    def fork(self, start: Start) -> None:
        """Fork the process."""
        start.fork(self._theirs)
        if self._pipes:
            for fd in self._theirs:
                os.close(fd)

    def listen(self, start: Start, hooks: Callable[[str], None], container: Json, state: Callable[[], Json]) -> None:
        """Until ``start`` has nothing more to say. ``container`` is the configuration, ``state`` what an agent gets."""

        def supervise(listener: int) -> None:
            try:
                seccomp_agent.forward(listener, container, state(), start.pid)
            finally:
                os.close(listener)

        start.listen(terminal=self._take_terminal, hooks=hooks, listener=supervise)

    def write_pid_file(self, pid: int) -> None:
        """Put the pid where the caller wants it, whole."""
        if not self._pid_file:
            return
        directory, name = os.path.split(self._pid_file)
        staged = f"{directory}/.{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(staged, flags, 0o666)
            try:
                os.write(fd, str(pid).encode())
            finally:
                os.close(fd)
            os.rename(staged, self._pid_file)
        except OSError as error:
            raise Failure(f"open {staged}: {strerror(error)}") from error

    def wait(self, pid: int) -> int:
        """Carry its streams and signals until it has ended: its exit code."""
        from wherry.runtime.oci.relay import Relay  # noqa: PLC0415  for the foreground alone

        self.signals.take()
        relay = Relay(self.signals.wake)
        code: int | None = None
        try:
            self._connect(relay)
            code = self._reap(pid)
            while code is None:
                relay.turn()
                code = self._attend(pid)
            while not relay.drained:
                relay.turn()
                self._attend(0)
        finally:
            relay.close()
            if self._host is not None:
                self._host.restore()
        return code

    def abandon(self) -> None:
        """Nothing came of it: nobody interrupts what is undone now, and the terminal is as it was."""
        self.signals.ignore()
        if self._host is not None:
            self._host.restore()
        if self._pid_file:
            directory, name = os.path.split(self._pid_file)
            _unlink(f"{directory}/.{name}")

    def _take_terminal(self, master: int) -> None:
        if self._socket is not None:
            self._socket.give(master)
            return
        from wherry.runtime.oci import console  # noqa: PLC0415

        self._master = master
        console.clear_newline_translation(master)
        os.set_blocking(master, False)

    def _connect(self, relay: Any) -> None:
        if self._host is not None:
            self._host.raw()
            self._host.resize(self._master)
            relay.carry(0, self._master, output=False)
            relay.carry(self._master, 1)
        elif self._pipes:
            stdin, stdout, stderr = self._pipes
            os.set_blocking(stdin, False)
            relay.carry(0, stdin, ours=True, output=False)
            relay.carry(stdout, 1)
            relay.carry(stderr, 2)

    def _attend(self, pid: int) -> int | None:
        """What the signals say; the exit code once it is ``pid``'s turn."""
        code = None
        for number in self.signals.pending():
            if number == SIGCHLD:
                ended = self._reap(pid)
                code = ended if code is None else code
            elif number == SIGWINCH and self._host is not None:
                self._host.resize(self._master)
            elif pid:
                try:
                    os.kill(pid, number)
                except OSError as error:
                    self._report.error(strerror(error))
        return code

    @staticmethod
    def _reap(pid: int) -> int | None:
        """Collect all that have ended, those that became ours too; the exit code if ``pid`` was among them."""
        code = None
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return code
            if ended == 0:
                return code
            if ended == pid:
                code = os.waitstatus_to_exitcode(status)
                code = code if code >= 0 else 128 - code


def absolute(path: str) -> str:
    """``path`` from the working directory; empty stays empty."""
    return os.path.abspath(path) if path else ""


def translate(error: StartError) -> Failure:
    """In the words of runc: what it could not do, before why."""
    return Failure(f"unable to start container process: {error}")


def _check_preserved(count: int, first: int) -> int:
    """``count``, if that many descriptors from ``first`` on have come from the caller."""
    for number in range(count):
        try:
            os.fstat(first + number)
        except OSError as error:
            text = f"unable to stat preserved-fd {number} (of {count})"
            raise Failure(f"{text}: stat /proc/self/fd/{first + number}: {_missing(error)}") from error
    return count


def _missing(error: OSError) -> str:
    """In the words of stat(2) about /proc/self/fd."""
    return "no such file or directory" if error.errno == errno.EBADF else strerror(error)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
