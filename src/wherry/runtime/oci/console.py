"""The terminal of a process in a container: its master goes to the caller's console socket, or is served at our own."""

from __future__ import annotations

import fcntl
import os
import termios

from wherry.linux import pty, sockets
from wherry.runtime.oci.errors import Failure, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME = b"/dev/ptmx"
_OFLAG, _CC, _LFLAG, _CFLAG, _IFLAG = 1, 6, 3, 2, 0


class ConsoleSocket:
    """A socket of the caller's, who gets the master and keeps it."""

    def __init__(self, path: str) -> None:
        try:
            self._connection = sockets.connect(path)
        except OSError as error:
            raise Failure(f"dial unix {path}: connect: {strerror(error)}") from error

    def give(self, master: int) -> None:
        """Send the master, and close it here. Raises Failure."""
        try:
            sockets.send_fds(self._connection, _NAME, [master])
        except OSError as error:
            raise Failure(f"unable to send the console: {strerror(error)}") from error
        finally:
            os.close(master)
            self._connection.close()


class HostTerminal:
    """The terminal that we run at: raw while the container has it."""

    def __init__(self) -> None:
        self.fd = self._find()
        self._before: list[Any] | None = None

    def raw(self) -> None:
        """Every key goes to the container, as cfmakeraw(3) has it. Raises Failure."""
        try:
            self._before = termios.tcgetattr(self.fd)
            mode = [*self._before[:_CC], list(self._before[_CC])]
            mode[_IFLAG] &= ~(
                termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
                | termios.ICRNL | termios.IXON
            )  # fmt: skip
            mode[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            mode[_CFLAG] = mode[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
            mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
            termios.tcsetattr(self.fd, termios.TCSANOW, mode)
        except termios.error as error:
            raise Failure(f"failed to set the terminal from the stdin: {error}") from error

    def restore(self) -> None:
        """As it was before ``raw``."""
        if self._before is not None:
            try:
                termios.tcsetattr(self.fd, termios.TCSANOW, self._before)
            except termios.error:
                return  # it has been hung up
            self._before = None

    def resize(self, master: int) -> None:
        """Give the container's terminal our size; without a size of our own nothing changes."""
        try:
            size = fcntl.ioctl(self.fd, termios.TIOCGWINSZ, bytes(8))
            height, width = (int.from_bytes(size[at : at + 2], "little") for at in (0, 2))
            pty.resize(master, height, width)
        except OSError:
            return

    @staticmethod
    def _find() -> int:
        for fd in (2, 1, 0):
            if os.isatty(fd):
                return fd
        try:
            return os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Failure(f"open /dev/tty: {strerror(error)}") from error


def clear_newline_translation(master: int) -> None:
    """ONLCR off: our own terminal does that, or a file wants no carriage returns."""
    mode = termios.tcgetattr(master)
    mode[_OFLAG] &= ~termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, mode)
