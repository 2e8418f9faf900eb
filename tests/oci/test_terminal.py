"""Terminals: in the foreground at our own, in the background by the caller's console socket."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import socket
import struct
import termios
import time
from pathlib import Path

import pytest

from oci.yard import Oci, Yard

pytestmark = pytest.mark.root


class Session:
    """A command at a terminal of its own."""

    def __init__(self, argv: list[str], size: tuple[int, int] = (24, 80)) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.resize(*size)
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def until(self, text: str, within: float = 15) -> str:
        """What is seen, once ``text`` is among it."""
        deadline = time.monotonic() + within
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"never saw {text!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.terminal, 4096)
            except OSError:
                break
        assert text.encode() in self.seen, self.seen
        return self.seen.decode()

    def end(self) -> int:
        """The exit code."""
        while True:
            try:
                data = os.read(self.terminal, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_run_at_a_terminal(yard: Yard, oci: Oci):
    """The program has a terminal of the container's own, in our size; what is typed reaches it; the code is its."""
    bundle = yard.bundle(yard.config("sh", "-c", "tty; stty size; read line; echo got $line; exit 5", terminal=True))
    session = Session(oci.argv("run", "-b", bundle, "box"), (33, 77))
    session.until("33 77")
    session.type("word\n")
    assert session.end() == 5
    assert b"/dev/pts/0" in session.seen
    assert b"got word\r\n" in session.seen


def test_a_resize_reaches_the_container(yard: Yard, oci: Oci):
    look = 'size=$(stty size); echo $size; [ "$size" = "44 99" ] && exit 0'  # the first size may come late too
    program = f"trap '{look}' WINCH; echo ready; while :; do sleep 0.1; done"
    session = Session(oci.argv("run", "-b", yard.bundle(yard.config("sh", "-c", program, terminal=True)), "box"))
    session.until("ready")
    session.resize(44, 99)
    os.kill(session.pid, 28)  # pty.fork's child leads its session: the kernel tells it, we make sure
    session.until("44 99")
    assert session.end() == 0


def test_keys_are_the_containers(yard: Yard, oci: Oci):
    """Our terminal is raw meanwhile, ctrl-C goes to the program; afterwards it is as before."""
    program = 'trap "echo interrupted; exit 3" INT; echo ready; while :; do sleep 0.1; done'
    bundle = yard.bundle(yard.config("sh", "-c", program, terminal=True))
    words = " ".join(oci.argv("run", "-b", bundle, "box"))
    session = Session(
        ["sh", "-c", f"before=$(stty -g); {words}; echo code $?; test $before = $(stty -g) && echo restored"]
    )
    session.until("ready")
    session.type("\x03")
    session.until("code 3")
    assert session.end() == 0
    assert b"interrupted" in session.seen
    assert b"restored" in session.seen


def test_exec_at_a_terminal(yard: Yard, oci: Oci):
    oci.run(yard.bundle(yard.config("sleep", "100")))
    session = Session(oci.argv("exec", "-t", "box", "sh", "-c", "tty; stty size; exit 9"), (40, 90))
    assert session.end() == 9
    assert b"/dev/pts/0" in session.seen
    oci.ok("delete", "-f", "box")


@pytest.mark.parametrize("deep", [False, True])
def test_console_socket(yard: Yard, oci: Oci, *, deep: bool):
    """The caller gets the master, as runc sends it; a path too long for a socket's name is no hindrance."""
    folder = yard.path / ("x" * 100 if deep else "x")
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(folder, os.O_PATH)
        listener.bind(f"/proc/self/fd/{descriptor}/console")
        os.close(descriptor)
        listener.listen()
        config = yard.config("sh", "-c", "tty; stty size; read line; echo got $line", terminal=True)
        config["process"]["consoleSize"] = {"height": 30, "width": 70}
        oci.create(yard.bundle(config), "box", "--console-socket", str(folder / "console"))
        connection, _ = listener.accept()
        with connection:
            name, descriptors, _, _ = socket.recv_fds(connection, 100, 4)
    assert name == b"/dev/ptmx"
    (master,) = descriptors
    oci.ok("start", "box")
    os.write(master, b"word\n")
    seen = b""
    while b"got word" not in seen:
        assert select.select([master], [], [], 10)[0], seen
        seen += os.read(master, 1000)
    assert b"30 70" in seen
    os.close(master)
    oci.wait_for("stopped")
    oci.ok("delete", "box")


def test_exec_with_console_socket(yard: Yard, oci: Oci):
    """As conmon does for ``podman exec -it``."""
    oci.run(yard.bundle(yard.config("sleep", "100")))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(yard.path / "console"))
        listener.listen()
        pid_file = yard.path / "pid"
        done = oci.quiet(
            *("exec", "-t", "-d", "--console-socket", yard.path / "console", "--pid-file", pid_file, "box"),
            *("sh", "-c", "echo here; sleep 100"),
        )
        assert done.code == 0, done.err
        connection, _ = listener.accept()
        with connection:
            _, (master,), _, _ = socket.recv_fds(connection, 100, 4)
    assert select.select([master], [], [], 10)[0]
    assert b"here" in os.read(master, 100)
    assert Path(f"/proc/{pid_file.read_text()}").exists()
    os.close(master)
    oci.ok("delete", "-f", "box")


def test_no_terminal_to_be_at(yard: Yard, oci: Oci):
    """Without one of ours a foreground container cannot have one."""
    done = oci("run", "-b", yard.bundle(yard.config("true", terminal=True)), "box", start_new_session=True)
    assert done.code == 1
    assert done.message.endswith("open /dev/tty: no such device or address")
