"""A person at a terminal: a program under a pseudo-terminal, typed at and read from."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import Self


class Terminal:
    """A program whose controlling terminal is ours."""

    def __init__(self, argv: list[str], env: dict[str, str], *, rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
            preexec_fn=self._take_terminal,  # noqa: PLW1509  one ioctl; setsid alone does not take the terminal
        )
        os.close(slave)
        self.screen = ""

    @staticmethod
    def _take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size; the kernel tells the program with SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, *, within: float = 10) -> str:
        """Read until ``text`` appears after what was expected before; returns what came up to it."""
        deadline = time.monotonic() + within
        while text not in self.screen:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} never appeared on the terminal: {self.screen!r}")
        before, _, self.screen = self.screen.partition(text)
        return before

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last process of the terminal has gone
            return False
        self.screen += data.decode(errors="replace")
        return bool(data)

    def rest(self, *, within: float = 10) -> str:
        """Everything until the program leaves the terminal."""
        deadline = time.monotonic() + within
        while self._read(deadline):
            pass
        return self.screen

    def wait(self, *, within: float = 10) -> int:
        """The program's exit code."""
        self.rest(within=within)
        return self.process.wait(within)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
