"""Filters of system calls on a container's process, and the agent that decides about some (config-linux, seccomp)."""

from __future__ import annotations

import array
import fcntl
import json
import os
import platform
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.processes import RUNTIME, Process, fields
from wherry.linux.seccomp_docker import oci_profile

pytestmark = [pytest.mark.root, pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")]

_MKDIR = (83, 258)
# <linux/seccomp.h>
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101


def profile(*names: str, action: str = "SCMP_ACT_ERRNO", **further: Any) -> dict[str, Any]:
    """Everything is allowed but ``names``."""
    loading = {key: further.pop(key) for key in ("flags", "listenerPath", "listenerMetadata") if key in further}
    rule = {"names": list(names), "action": action, **further}
    return {"defaultAction": "SCMP_ACT_ALLOW", **loading, "syscalls": [rule]}


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_a_call_is_refused(program: Process, no_new_privileges):
    """With the errno that was asked for; before and after the loss of rights, with and without no_new_privs."""
    program.set(noNewPrivileges=no_new_privileges, user={"uid": 1000, "gid": 1000})
    program.linux(seccomp=profile("mkdir", "mkdirat", errnoRet=30))
    done = program.shell("mkdir /tmp/x; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status")
    assert "Read-only file system" in done.err
    assert fields(done.out) == {"Seccomp": "2", "NoNewPrivs": str(int(no_new_privileges))}


@pytest.mark.parametrize(
    ("action", "code"),
    [("SCMP_ACT_KILL", 159), ("SCMP_ACT_KILL_PROCESS", 159), ("SCMP_ACT_KILL_THREAD", 159), ("SCMP_ACT_TRAP", 159)],
)
def test_a_call_ends_the_process(program: Process, action, code):
    """By SIGSYS, 31."""
    program.linux(seccomp=profile("mkdir", "mkdirat", action=action))
    assert program.shell("(mkdir /tmp/x); echo $?").ok().out == f"{code}\n"


def test_a_call_is_logged_or_traced(program: Process):
    """LOG lets it run; TRACE without a tracer is ENOSYS."""
    program.linux(seccomp=profile("mkdir", "mkdirat", action="SCMP_ACT_LOG"))
    assert program.shell("mkdir /tmp/x && echo made").ok().out == "made\n"
    program.linux(seccomp=profile("rmdir", action="SCMP_ACT_TRACE"))
    assert "not implemented" in program.shell("rmdir /tmp/x").err


def test_the_engines_default_profile(program: Process):
    """As a bundle of Docker's has it: mount is refused, a new namespace too, and a shell works."""
    program.linux(seccomp=oci_profile(None, ["CAP_CHOWN"]))
    done = program.shell("mount -t tmpfs x /tmp; unshare -n true; chmod 700 /etc/plain && echo fine").ok()
    assert done.out == "fine\n"
    assert done.err.count("Operation not permitted") + done.err.count("permission denied") >= 2


def test_a_filter_that_forbids_our_own_calls(program: Process):
    """With no_new_privs it is loaded at the last moment: a program needs only what itself calls."""
    ours = ("setresuid", "capset", "setgroups", "accept4", "recvfrom", "setsid", "umask", "poll", "chdir", "fchown")
    program.set(noNewPrivileges=True).linux(seccomp=profile(*ours, action="SCMP_ACT_KILL_PROCESS"))
    assert program.run("echo", "here").ok().out == "here\n"


@pytest.mark.skipif("runc" in RUNTIME, reason="runc 1.1 knows no flags")
@pytest.mark.parametrize("flags", [[], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_TSYNC"]])
def test_flags(program: Process, flags):
    """Speculation_Store_Bypass shows SPEC_ALLOW; an unknown one is refused before anything starts."""
    program.linux(seccomp=profile("mkdir", "mkdirat", flags=flags))
    assert program.shell("mkdir /tmp/x || echo no").ok().out == "no\n"
    program.linux(seccomp=profile("mkdir", flags=["SECCOMP_FILTER_FLAG_DANCE"]))
    program.run("true").failed("seccomp flag SECCOMP_FILTER_FLAG_DANCE is not known")


@pytest.mark.skipif("runc" in RUNTIME, reason="runc 1.1 knows no flags")
def test_a_flag_that_the_kernel_refuses(program: Process):
    """WAIT_KILLABLE_RECV is for filters that notify."""
    program.linux(seccomp=profile("mkdir", flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]))
    program.run("true").failed("error loading seccomp filter into kernel: invalid argument")


class Agent:
    """Answers one notification with an errno, and keeps what it was told."""

    def __init__(self, path: Path, errno: int) -> None:
        self.told: dict[str, Any] = {}
        self.calls: list[int] = []
        self._errno = errno
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(20)

    def serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
            self.told = json.loads(data)
            (fd,) = array.array("i", ancillary[0][2])
        try:
            notification = bytearray(80)
            fcntl.ioctl(fd, _NOTIF_RECV, notification)
            identity, _, _, number = struct.unpack_from("=QIIi", notification)
            self.calls.append(number)
            fcntl.ioctl(fd, _NOTIF_SEND, bytearray(struct.pack("=QqiI", identity, 0, -self._errno, 0)))
        finally:
            os.close(fd)


@contextmanager
def agent(path: Path, errno: int) -> Iterator[Agent]:
    one = Agent(path, errno)
    thread = threading.Thread(target=one.serve)
    thread.start()
    yield one
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("options", [[], ["--created"]])
def test_an_agent_decides(program: Process, tmp_path: Path, no_new_privileges, options):
    """It gets the descriptor and the container's state, and its errno is what the program sees."""
    if RUNTIME and options:
        pytest.skip("an option of our own")
    path = tmp_path / "agent"
    program.set(noNewPrivileges=no_new_privileges)
    notifying = profile("mkdir", "mkdirat", action="SCMP_ACT_NOTIFY", listenerPath=str(path), listenerMetadata="who")
    program.linux(seccomp=notifying)
    with agent(path, 122) as one:
        done = program.shell("mkdir /tmp/x", options=options)
    assert "Disk quota exceeded" in done.err, done
    assert one.calls[0] in _MKDIR
    assert (one.told["fds"], one.told["metadata"]) == (["seccompFd"], "who")
    assert one.told["pid"] == one.told["state"]["pid"] > 1
    assert one.told["state"]["status"] == "creating"
    assert one.told["ociVersion"]


def test_an_agent_that_is_not_there(program: Process, tmp_path: Path):
    """The start fails, and nothing is left waiting for an answer."""
    program.linux(seccomp=profile("mkdir", action="SCMP_ACT_NOTIFY", listenerPath=str(tmp_path / "none")))
    program.run("true").failed(
        "failed to connect with seccomp agent specified in the seccomp profile: "
        f"dial unix {tmp_path}/none: connect: no such file or directory"
    )
