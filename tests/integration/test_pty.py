"""A person at a terminal: the real CLI under a pseudo-terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from support.commands import eventually
from support.daemons import Daemon
from support.terminal import Terminal

At = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def at(daemon: Daemon) -> At:
    """``at("run", "-it", …)``: a docker command with a person at it."""

    def sit_down(*args: str, **options: int) -> Terminal:
        return Terminal(daemon.docker_argv(*args), daemon.docker_env(), **options)

    return sit_down


def test_a_shell(at: At) -> None:
    """run -it gives a shell with a terminal; what is typed comes back, exit ends it with its code."""
    with at("run", "-it", "--rm", "--network", "none", "busybox") as terminal:
        terminal.expect("/ # ")
        terminal.type("tty; echo $((6*7))\r")
        terminal.expect("/dev/pts/0\r\n42\r\n")
        terminal.type("exit 9\r")
        assert terminal.wait() == 9


def test_control_c_interrupts_the_program_not_the_client(daemon: Daemon, at: At) -> None:
    with at("run", "-it", "--rm", "--name", "shell", "--network", "none", "busybox") as terminal:
        terminal.expect("/ # ")
        terminal.type("sleep 60\r")
        eventually("the sleep", lambda: "sleep 60" in daemon.out("top", "shell"))
        terminal.expect("sleep 60\r\n")
        terminal.type("\x03")
        terminal.expect("/ # ")
        terminal.type("echo $?\r")
        terminal.expect("130\r\n")
        terminal.expect("/ # ")  # an end of file before the shell reads again is lost when it sets the terminal
        terminal.type("\x04")  # end of file ends the shell
        assert terminal.wait() == 0


def test_the_size_and_its_changes(at: At) -> None:
    """The program's terminal has the size of the person's, from the start and after a change."""
    with at("run", "-it", "--rm", "--network", "none", "busybox", "sh", "-c", "sleep 0.5; stty size; read x; stty size",
            rows=33, columns=111) as terminal:  # fmt: skip
        terminal.expect("33 111\r\n")
        terminal.resize(44, 122)
        time.sleep(0.5)  # the new size travels: client, daemon, shim, kernel
        terminal.type("\r")
        terminal.expect("44 122\r\n")
        assert terminal.wait() == 0


def test_detach_keys_and_attach_again(daemon: Daemon, at: At) -> None:
    """ctrl-p ctrl-q leaves the container running; attach comes back to the same shell."""
    with at("run", "-it", "--name", "shell", "--network", "none", "busybox") as terminal:
        terminal.expect("/ # ")
        terminal.type("VALUE=kept\r")
        terminal.expect("/ # ")
        terminal.type("\x10\x11")
        assert terminal.wait() == 0
    assert daemon.state("shell") == "running"
    with at("attach", "shell") as terminal:
        terminal.type("echo is $VALUE\r")
        terminal.expect("is kept\r\n")
        terminal.type("exit\r")
        assert terminal.wait() == 0
    assert daemon.state("shell") == "exited"


def test_exec_with_a_terminal(daemon: Daemon, at: At) -> None:
    """exec -it is a second terminal in the same container."""
    daemon.docker("run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "60")
    with at("exec", "-it", "box", "sh", rows=21, columns=77) as terminal:
        terminal.expect("/ # ")
        terminal.type("tty; stty size; ps -o args | grep -c '^sleep 60'\r")
        terminal.expect("/dev/pts/0\r\n21 77\r\n1\r\n")
        terminal.type("exit 4\r")
        assert terminal.wait() == 4
    assert daemon.state("box") == "running"


def test_a_terminal_that_vanishes_leaves_the_container(daemon: Daemon, at: At) -> None:
    """A closed window detaches; the container goes on."""
    with at("run", "-it", "--name", "left", "--network", "none", "busybox") as terminal:
        terminal.expect("/ # ")
        terminal.process.kill()
        terminal.process.wait()
    assert daemon.state("left") == "running"


def test_a_full_screen_program(at: At) -> None:
    """vi draws, takes keys and leaves the terminal as it was."""
    with at("run", "-it", "--rm", "--network", "none", "busybox", "sh", "-c", "vi /f && cat /f") as terminal:
        terminal.expect("/f")
        terminal.type("ihello from vi\x1b")
        terminal.expect("hello from vi")
        terminal.type(":wq\r")
        terminal.expect("hello from vi\r\n")
        assert terminal.wait() == 0


def test_a_terminal_is_needed_for_it(daemon: Daemon) -> None:
    """-it without a terminal is refused by the client."""
    done = daemon.docker("run", "-it", "--rm", "busybox", "true", check=False)
    assert done.returncode == 1
    assert "not a TTY" in done.stderr
