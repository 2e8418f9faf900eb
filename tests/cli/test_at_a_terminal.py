"""``wherry`` under a terminal, beside docker: keys, size, detaching, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
import time
import uuid

import pytest

from cli.test_against_docker import DOCKER, HOST, WHY_NOT, call
from support.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
WHERRY = [sys.executable, "-m", "wherry.cli"]
BOTH = pytest.mark.parametrize("program", [WHERRY, [DOCKER]], ids=["wherry", "docker"])


def at_terminal(program, *arguments, **size) -> Terminal:
    return Terminal([*program, *arguments], {**os.environ, "DOCKER_HOST": HOST, "TERM": "xterm"}, **size)


@pytest.fixture
def name():
    name = f"wt-tty-{uuid.uuid4().hex[:8]}"
    yield name
    call(DOCKER, f"rm -f {name}")


@BOTH
def test_a_shell_answers_and_its_exit_code_comes_back(program, name):
    with at_terminal(program, "run", "--rm", "-it", "--name", name, "busybox", "sh", rows=31, columns=97) as terminal:
        terminal.expect("#")
        terminal.type("stty size; echo $((40+2)); exit 7\r")
        terminal.expect("31 97")
        terminal.expect("42")
        assert terminal.wait() == 7


@BOTH
def test_control_c_goes_to_the_container(program, name):
    with at_terminal(
        program,
        "run",
        "--rm",
        "-it",
        "--name",
        name,
        "busybox",
        "sh",
        "-c",
        "trap 'echo got; exit 3' INT; echo ready; read x",
    ) as terminal:
        terminal.expect("ready")
        terminal.type("\x03")
        terminal.expect("got")
        assert terminal.wait() == 3


@BOTH
def test_a_new_size_is_passed_on(program, name):
    with at_terminal(program, "run", "--rm", "-it", "--name", name, "busybox", "sh") as terminal:
        terminal.expect("#")
        time.sleep(0.5)  # docker listens for new sizes only a little after the prompt
        terminal.resize(40, 132)
        terminal.type("sleep 0.5; stty size\r")
        terminal.expect("40 132")
        terminal.type("exit\r")
        assert terminal.wait() == 0


@BOTH
def test_detach_keys_leave_it_running_and_attach_returns(program, name):
    with at_terminal(program, "run", "-it", "--name", name, "busybox", "sh") as terminal:
        terminal.expect("#")
        terminal.type("\x10\x11")
        assert terminal.wait() == 0
    assert call(DOCKER, f"inspect -f '{{{{.State.Running}}}}' {name}").stdout == b"true\n"
    with at_terminal(program, "attach", "--detach-keys", "a,b", name) as terminal:
        terminal.expect("#")
        terminal.type("echo x$((1+1))\r")
        terminal.expect("x2")
        terminal.type("ab")
        assert terminal.wait() == 1
        assert terminal.screen.rstrip().endswith("read escape sequence")
    with at_terminal(program, "attach", name) as terminal:
        terminal.expect("#")
        terminal.type("exit 5\r")
        assert terminal.wait() == 5


@BOTH
def test_exec_at_a_terminal(program, name):
    assert call(DOCKER, f"run -d --name {name} busybox sleep 600").returncode == 0
    with at_terminal(program, "exec", "-it", name, "sh", rows=33, columns=99) as terminal:
        terminal.expect("#")
        terminal.type("sleep 0.3; stty size; exit 4\r")
        terminal.expect("33 99")
        assert terminal.wait() == 4


def test_the_terminal_is_left_as_it_was():
    """Raw mode ends with the container, also when the daemon refuses to start it."""
    master, slave = os.openpty()
    try:
        before = termios.tcgetattr(slave)
        for command in (["true"], ["nosuch"]):
            subprocess.run(
                [*WHERRY, "run", "--rm", "-it", "busybox", *command],
                stdin=slave,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=30,
                check=False,
                env={**os.environ, "DOCKER_HOST": HOST},
            )
            assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_bars_and_tables_fit_a_terminal():
    """Help wraps at the terminal's width, as docker's does."""
    texts = []
    for program in (WHERRY, [DOCKER]):
        with at_terminal(program, "ps", "--help", columns=120) as terminal:
            assert terminal.wait() == 0
            texts.append(terminal.screen.replace("docker", "wherry").replace("docs.wherry.com", "docs.docker.com"))
    assert texts[0].replace("docs.docker.com", "docs.docker.com") == texts[1]
