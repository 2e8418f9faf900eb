"""What a program has open: its standard streams, and what the caller says; and the sockets of systemd's protocols."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from oci.yard import TIMEOUT, Oci, Outcome, Yard
from support.commands import eventually

pytestmark = pytest.mark.root

_LIST = "cd /proc/self/fd && for fd in *; do test -e $fd && printf '%s ' $fd; done"


def _with_fds(oci: Oci, words: list[str], texts: list[str], environment: dict[str, str] | None = None) -> Outcome:
    """Run a command whose descriptors from 3 on are files with these texts."""

    def arrange() -> None:
        ends = []
        for text in texts:
            read, write = os.pipe()
            os.write(write, text.encode())
            os.close(write)
            ends.append(os.dup(read))
        high = [os.dup2(fd, 100 + number) for number, fd in enumerate(ends)]
        os.closerange(3, 100)
        for number, fd in enumerate(high):
            os.dup2(fd, 3 + number)
        if environment is not None:
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ["LISTEN_FDS"] = environment["LISTEN_FDS"]
            os.execve(oci.program, oci.argv(*words), os.environ)
        os.closerange(100, 200)

    done = subprocess.run(
        oci.argv(*words),
        preexec_fn=arrange,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_nothing_of_the_callers_is_inherited(yard: Yard, oci: Oci):
    """S2 (CVE-2024-21626): 0, 1, 2 and nothing else, for run and exec."""
    bundle = yard.bundle(yard.config("sh", "-c", _LIST))
    assert _with_fds(oci, ["run", "-b", str(bundle), "box"], ["three", "four", "five"]).out.split() == ["0", "1", "2"]
    oci.run(yard.bundle(yard.config("sleep", "100")))
    done = _with_fds(oci, ["exec", "box", "sh", "-c", _LIST], ["three", "four", "five"])
    assert done.out.split() == ["0", "1", "2"]
    oci.ok("delete", "-f", "box")


@pytest.mark.parametrize("log", [False, True])
def test_preserved_descriptors(yard: Yard, oci: Oci, *, log: bool):
    """The first N above the standard ones, whatever the command itself opens."""
    if log:
        oci.options = ["--log", str(yard.path / "log")]
    bundle = yard.bundle(yard.config("sh", "-c", f"cat <&3; cat <&4; {_LIST}"))
    done = _with_fds(oci, ["run", "--preserve-fds", "2", "-b", str(bundle), "box"], ["three", "four", "five"])
    assert done.out.startswith("threefour"), done
    assert done.out.removeprefix("threefour").split() == ["0", "1", "2", "3", "4"]


def test_preserved_descriptors_of_an_exec(yard: Yard, oci: Oci):
    oci.run(yard.bundle(yard.config("sleep", "100")))
    done = _with_fds(oci, ["exec", "--preserve-fds", "1", "box", "sh", "-c", "cat <&3"], ["three"])
    assert done.out == "three"
    oci.ok("delete", "-f", "box")


def test_preserved_descriptors_that_are_not_there(yard: Yard, oci: Oci):
    bundle = yard.bundle(yard.config("true"))
    done = _with_fds(oci, ["run", "--preserve-fds", "3", "-b", str(bundle), "box"], ["three"])
    assert done.code == 1
    words = "unable to stat preserved-fd 1 (of 3): stat /proc/self/fd/4: no such file or directory"
    assert done.message.endswith(words)


def test_sockets_of_systemd(yard: Yard, oci: Oci):
    """sd_listen_fds(3): they are passed on, and the program is told; preserved ones follow."""
    bundle = yard.bundle(yard.config("sh", "-c", f"echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; echo; {_LIST}"))
    done = _with_fds(
        oci, ["run", "--preserve-fds", "1", "-b", str(bundle), "box"], ["three", "four", "five"], {"LISTEN_FDS": "1"}
    )
    first, second, third = done.out.splitlines()
    assert first == "1 1"
    assert second == "threefour"
    assert third.split() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("how", ["create and start", "run"])
def test_notification_of_readiness(yard: Yard, oci: Oci, how: str):
    """sd_notify(3): the container's READY=1 comes to the caller, with the pid to watch."""
    host = yard.path / "host.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(host))
        listener.settimeout(TIMEOUT)
        environment = {**os.environ, "NOTIFY_SOCKET": str(host)}
        bundle = yard.bundle(yard.config("sh", "-c", "echo $NOTIFY_SOCKET > /dev/mark; exec sleep 100"))
        if how == "run":
            words = oci.argv("run", "-d", "-b", str(bundle), "box")
        else:
            assert oci.quiet("create", "-b", bundle, "box", env=environment).code == 0
            words = oci.argv("start", "box")
        null = subprocess.DEVNULL
        with subprocess.Popen(words, env=environment, stdin=null, stdout=null) as process:
            eventually("the container", (oci.root / "box/state.json").exists)
            oci.wait_for("running")
            inside = Path(f"/proc/{oci.state()['pid']}/root")
            eventually("the program", (inside / "dev/mark").exists)
            eventually("its word", (inside / "dev/mark").read_text)
            assert (inside / "dev/mark").read_text() == "/run/notify/notify.sock\n"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.connect(f"{inside}/run/notify/notify.sock")
                client.send(b"STATUS=soon")
                client.send(b"READY=1\nSTATUS=there")
            assert listener.recv(100) == b"READY=1\n"
            assert listener.recv(100) == f"MAINPID={oci.state()['pid']}\n".encode()
            assert process.wait(TIMEOUT) == 0
    oci.ok("delete", "-f", "box")
