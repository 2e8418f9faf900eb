"""The way from the closed door to the program: nothing of the host's comes along, and nobody reaches us on it.

Each docstring names the guard without which its test fails.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runtime.processes import PATH, RUNTIME, Process, fields, with_source
from wherry.linux.capabilities import available, mask
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_process_identity import verify_directory

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(RUNTIME), reason="looks at our own way there")]


def test_nothing_is_imported_or_opened_once_the_root_has_changed(program: Process):
    """S1, S9: no module, codec or file is looked up where the image could have put another.

    Fails with an import, or with a file opened by its path, anywhere below ``Program.enter``.
    """
    program.set(
        user={"uid": 1000, "gid": 1000, "additionalGids": [7], "umask": 0o77},
        env=[PATH, "ODD=\udc80"],
        noNewPrivileges=True,
        oomScoreAdj=10,
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}],
        scheduler={"policy": "SCHED_BATCH"},
    )
    program.linux(
        seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bind"], "action": "SCMP_ACT_ERRNO"}]}
    )
    done = program.run("echo", "here", options=["--audit"]).ok()
    assert (done.out, done.err) == ("here\n", "")


def test_the_same_for_what_fails(program: Process):
    """The words of an error too were there before."""
    done = program.run("nope", options=["--audit"])
    assert done.err == 'unable to start container process: exec: "nope": executable file not found in $PATH\n'


@contextmanager
def created(program: Process, *args: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A container that waits for its start, its process id, and the runtime."""
    command = program.command(args, "--created")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=with_source()
    ) as runtime:
        assert runtime.stdout is not None
        pid = int(runtime.stdout.readline())
        process = os.pidfd_open(pid)
        try:
            yield pid, runtime
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
            os.close(process)
            runtime.kill()


def test_nobody_reaches_us_while_we_wait(program: Process):
    """S1 (CVE-2016-9962): the same user in the container may neither trace us nor follow our /proc links.

    The observer is root without capabilities, as we are then: all that stands between us is ``set_dumpable``. Fails
    without it in ``init`` and ``Program._become``; where fs.suid_dumpable is not 0 both are needed.
    """
    with created(program.set(capabilities={}), "echo", "here") as (pid, runtime):
        for name in ("exe", "root", "fd/4"):
            link = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "readlink", f"/proc/{pid}/{name}"]
            assert subprocess.run(link, capture_output=True, check=False).returncode == 1
            assert subprocess.run(link[3:], capture_output=True, check=False).returncode == 0
        assert runtime.communicate("\n", timeout=20) == ("here\n", "")


def test_what_is_open_while_we_wait(program: Process):
    """S2: the standard descriptors, the gate, and the channel before it, which is closed; no directory of the host.

    Fails without ``close_from`` in ``Program._close``.
    """
    with created(program, "true") as (pid, runtime):
        links = {int(name): os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        assert set(links) == {0, 1, 2, 4}
        assert links[4].startswith("socket:")
        runtime.communicate("\n", timeout=20)


def test_the_program_has_no_way_back_through_a_descriptor(program: Process):
    """S2 (CVE-2024-21626): what we have open ourselves cannot be executed, nor is it there for the program.

    Fails without ``close_from``: descriptors of the mount tree are then among those tried.
    """
    for number in range(3, 12):
        done = program.run(f"/proc/self/fd/{number}", "x")
        assert (done.code != 0, done.out) == (True, ""), done
        done = program.run(f"/proc/self/fd/{number}/../../bin/sh", "-c", "echo out")
        assert (done.code != 0, done.out) == (True, ""), done


def test_a_directory_outside_the_root_is_noticed(tmp_path):
    """S2 (CVE-2024-21626): whatever led us there. Fails without ``verify_directory``."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.chroot(tmp_path)
        try:
            verify_directory()
        except StartError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as answer:
        assert "outside of container mount namespace root" in answer.read()
    verify_directory()


def test_the_callers_capabilities_do_not_come_along(program: Process):
    """S5 (CVE-2022-24769, CVE-2022-29162): inheritable and ambient ones of the runtime are not the program's.

    Fails without ``set_capabilities`` and ``set_ambient`` in ``init_process_identity.become``.
    """
    some = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]
    assert set(some) <= set(available())
    program.set(capabilities=dict.fromkeys(("bounding", "permitted", "effective"), some))
    command = program.command(["cat", "/proc/self/status"])
    words = ["setpriv", f"--inh-caps={_setpriv(some)}", f"--ambient-caps={_setpriv(some)}", *command]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20, env=with_source())
    found = fields(done.stdout)
    sets = [int(found[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
    assert sets == [0, mask(some), mask(some), mask(some), 0]


def _setpriv(names: list[str]) -> str:
    return ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names)


def test_the_callers_groups_do_not_come_along(program: Process):
    """S6 (CVE-2022-36109): fails without ``setgroups`` in ``init_process_identity``."""
    command = program.command(["cat", "/proc/self/status"])
    done = subprocess.run(
        ["setpriv", "--groups=4,27,99", *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env=with_source(),
    )
    assert fields(done.stdout)["Groups"] == ""


def test_a_lost_parent_leaves_no_program(program: Process):
    """Killed, it takes it along, unless the container is to last. Fails without the death signal of ``_become``."""
    command = program.command(["sleep", "1000"])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=with_source()) as runtime:
        _wait_for(lambda: _children(runtime.pid))
        (child,) = _children(runtime.pid)
        process = os.pidfd_open(child)
        _wait_for(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        runtime.send_signal(signal.SIGKILL)
        runtime.wait()
    gone, _, _ = select.select([process], [], [], 20)
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)
    assert gone


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(number) for number in file.read().split()]


def _wait_for(condition) -> None:
    import time

    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
