"""config-linux.md, seccomp: actions, values, flags and the listener, told by what system calls then do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.agent import Agent
from conformance.bundle import Change, linux, process, shell, top
from conformance.clauses import DEFINED, MUST, case, cases, clause
from conformance.probe import status_field
from conformance.yard import Scope, Yard

WHERE = "config-linux.md#seccomp"
STATE = "config-linux.md#the-container-process-state"
ARCHITECTURES = {"x86_64": ["SCMP_ARCH_X86_64"], "aarch64": ["SCMP_ARCH_AARCH64"]}.get(os.uname().machine, [])
CHMOD = ["chmod", "fchmod", "fchmodat"]


def seccomp(*rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **further: Any) -> Change:
    """A profile of these rules."""
    return linux(seccomp={"defaultAction": default, "architectures": ARCHITECTURES, "syscalls": list(rules), **further})


def rule(names: list[str], action: str, **further: Any) -> dict[str, Any]:
    return {"names": names, "action": action, **further}


NEEDED = [
    *("execve", "exit", "exit_group", "write", "read", "open", "openat", "close", "brk", "mmap", "munmap"),
    *("mprotect", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom"),
    *("readlink", "readlinkat", "uname", "getuid", "getgid", "geteuid", "getegid", "getppid", "getpid", "setuid"),
    *("setgid", "stat", "lstat", "fstat", "newfstatat", "fcntl", "dup2", "dup", "rt_sigaction", "rt_sigprocmask"),
    *("rt_sigreturn", "fork", "clone", "clone3", "vfork", "wait4", "ioctl", "getcwd", "poll", "futex", "prctl"),
    *("getdents64", "lseek", "access", "faccessat", "faccessat2", "capset", "capget", "seccomp", "setgroups"),
    *("sched_yield", "sigaltstack", "gettid", "tgkill", "nanosleep", "epoll_ctl", "epoll_pwait", "madvise"),
    *("sched_getaffinity", "readv", "writev", "pipe2", "fchdir", "chdir", "umask", "execveat", "statfs", "fstatfs"),
    *("close_range", "clock_gettime", "pselect6", "sendto", "recvfrom", "sendmsg", "recvmsg", "kill", "mremap"),
    *("unlinkat", "setsid", "keyctl", "getsockopt", "socket", "connect", "shutdown", "select", "ppoll", "accept4"),
]
"""What busybox and a runtime's last steps call; chmod is not among it."""

# Actions.

SURVIVES = "chmod 700 /tmp; echo code $?"


@clause(WHERE, DEFINED, "SCMP_ACT_ALLOW: the call is made")
def test_allow(box: Scope) -> None:
    assert box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_ALLOW"))).run().out == "code 0\n"


@clause(WHERE, DEFINED, "SCMP_ACT_ERRNO: the call fails; with EPERM by default")
def test_errno(box: Scope) -> None:
    done = box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_ERRNO"))).run()
    assert "Operation not permitted" in done.err


@clause(WHERE, DEFINED, "errnoRet: the call fails with that number")
def test_errno_ret(box: Scope) -> None:
    done = box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_ERRNO", errnoRet=123))).run()  # ENOMEDIUM
    assert "No medium found" in done.err


@clause(WHERE, DEFINED, "SCMP_ACT_LOG: the call is made")
def test_log(box: Scope) -> None:
    assert box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_LOG"))).run().out == "code 0\n"


@pytest.mark.parametrize(
    ("action", "code"),
    cases(
        WHERE,
        DEFINED,
        ("KILL", "SCMP_ACT_KILL: the thread is killed by SIGSYS", "SCMP_ACT_KILL", 128 + 31),
        ("KILL_THREAD", "SCMP_ACT_KILL_THREAD: the thread is killed by SIGSYS", "SCMP_ACT_KILL_THREAD", 128 + 31),
        ("KILL_PROCESS", "SCMP_ACT_KILL_PROCESS: the process is killed by SIGSYS", "SCMP_ACT_KILL_PROCESS", 128 + 31),
        ("TRAP", "SCMP_ACT_TRAP: the thread gets SIGSYS", "SCMP_ACT_TRAP", 128 + 31),
    ),
)
def test_kill(box: Scope, action: str, code: int) -> None:
    assert box(shell(SURVIVES), seccomp(rule(CHMOD, action))).run().out == f"code {code}\n"


@clause(WHERE, DEFINED, "SCMP_ACT_TRACE: without a tracer the call fails with ENOSYS")
def test_trace(box: Scope) -> None:
    done = box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_TRACE", errnoRet=7))).run()
    assert "Function not implemented" in done.err


@clause(WHERE, MUST, "errnoRet with an action that has none is an error")
def test_errno_ret_without_errno(box: Scope) -> None:
    assert box(seccomp(rule(CHMOD, "SCMP_ACT_ALLOW", errnoRet=5))).run().failed


@clause(WHERE, DEFINED, "defaultAction is for every call that no rule names")
def test_default_action(box: Scope) -> None:
    done = box(shell(SURVIVES), seccomp(rule(NEEDED, "SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO")).run()
    assert "Operation not permitted" in done.err


@clause(WHERE, DEFINED, "defaultErrnoRet is the number of the default action")
def test_default_errno(box: Scope) -> None:
    rules = rule(NEEDED, "SCMP_ACT_ALLOW")
    done = box(shell(SURVIVES), seccomp(rules, default="SCMP_ACT_ERRNO", defaultErrnoRet=123)).run()  # ENOMEDIUM
    assert "No medium found" in done.err


@clause(WHERE, DEFINED, "names that the machine does not know are left out")
def test_unknown_name(box: Scope) -> None:
    assert box(seccomp(rule(["no_such_call", *CHMOD], "SCMP_ACT_ERRNO"))).run().code == 0


@clause(WHERE, MUST, "names has at least one entry")
def test_no_names(box: Scope) -> None:
    assert box(seccomp(rule([], "SCMP_ACT_ERRNO"))).run().failed


@pytest.mark.parametrize(
    "change",
    cases(
        WHERE,
        MUST,
        ("action", "an action that does not exist is an error", seccomp(default="SCMP_ACT_NEVER")),
        (
            "op",
            "an operator that does not exist is an error",
            seccomp(rule(CHMOD, "SCMP_ACT_ERRNO", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_LIKE"}])),
        ),
        (
            "arch",
            "an architecture that does not exist is an error",
            linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ABACUS"]}),
        ),
        (
            "flag",
            "a flag that does not exist is an error",
            seccomp(rule(CHMOD, "SCMP_ACT_ERRNO"), flags=["SECCOMP_FILTER_FLAG_FAST"]),
        ),
    ),
)
def test_not_valid(box: Scope, change: Change) -> None:
    one = box(change)
    assert one.run().failed
    assert one.id not in one.runtime.known()


# Values: chmod's second argument is the mode.

MODES = "for mode in 700 711 755 777; do chmod $mode /tmp/file 2>/dev/null || echo $mode; done"


def refused(box: Scope, *args: dict[str, Any]) -> set[str]:
    """The modes that a rule with these values refuses."""
    one = box(shell(f"touch /tmp/file; {MODES}; true"), seccomp(rule(["chmod"], "SCMP_ACT_ERRNO", args=list(args))))
    done = one.run()
    assert done.code == 0, done.err
    return set(done.out.split())


MODE = 0o755


@pytest.mark.parametrize(
    ("op", "value", "two", "told"),
    cases(
        WHERE,
        DEFINED,
        ("NE", "args: SCMP_CMP_NE", "SCMP_CMP_NE", MODE, 0, "700 711 777"),
        ("LT", "args: SCMP_CMP_LT", "SCMP_CMP_LT", MODE, 0, "700 711"),
        ("LE", "args: SCMP_CMP_LE", "SCMP_CMP_LE", MODE, 0, "700 711 755"),
        ("EQ", "args: SCMP_CMP_EQ", "SCMP_CMP_EQ", MODE, 0, "755"),
        ("GE", "args: SCMP_CMP_GE", "SCMP_CMP_GE", MODE, 0, "755 777"),
        ("GT", "args: SCMP_CMP_GT", "SCMP_CMP_GT", MODE, 0, "777"),
        (
            "MASKED_EQ",
            "args: SCMP_CMP_MASKED_EQ takes value as mask and valueTwo as what is left",
            "SCMP_CMP_MASKED_EQ",
            0o022,
            0o000,
            "700 711 755",
        ),
    ),
)
def test_operators(box: Scope, op: str, value: int, two: int, told: str) -> None:
    assert refused(box, {"index": 1, "value": value, "valueTwo": two, "op": op}) == set(told.split())


@clause(WHERE, DEFINED, "args: several entries on different arguments hold together")
def test_args_together(box: Scope) -> None:
    both = [{"index": 0, "value": 0, "op": "SCMP_CMP_NE"}, {"index": 1, "value": MODE, "op": "SCMP_CMP_EQ"}]
    assert refused(box, *both) == {"755"}
    never = [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": MODE, "op": "SCMP_CMP_EQ"}]
    assert refused(box, *never) == set()


# Flags, and what else is seen.


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param(
            flag,
            id=flag,
            marks=[
                clause(WHERE, DEFINED, f"flags: {flag} is taken"),
                pytest.mark.needs("linux.seccomp.supportedFlags", flag),
            ],
        )
        for flag in ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
    ],
)
def test_flags(box: Scope, flag: str) -> None:
    done = box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_ERRNO"), flags=[flag])).run()
    assert "Operation not permitted" in done.err


@clause(WHERE, DEFINED, "the filter is on the program: its mode is 2")
def test_mode(box: Scope) -> None:
    seen = box.look({"status": "cat /proc/self/status"}, seccomp(rule(["reboot"], "SCMP_ACT_ERRNO")))
    assert status_field(seen["status"], "Seccomp") == "2"


@clause(WHERE, DEFINED, "without seccomp there is no filter")
def test_no_filter(box: Scope) -> None:
    mine = status_field(Path("/proc/self/status").read_text(), "Seccomp_filters")
    assert status_field(box.look({"status": "cat /proc/self/status"})["status"], "Seccomp_filters") == mine


@pytest.mark.parametrize("value", [True, False])
@clause(WHERE, DEFINED, "the filter holds with noNewPrivileges and without")
def test_with_no_new_privileges(box: Scope, value: bool) -> None:  # noqa: FBT001  a table's column
    done = box(shell(SURVIVES), seccomp(rule(CHMOD, "SCMP_ACT_ERRNO")), process(noNewPrivileges=value)).run()
    assert "Operation not permitted" in done.err


# The listener.


class Heard:
    """What the agent got from one container, and what the container saw."""

    def __init__(self, agent: Agent, output: str, errors: str, name: str, bundle: str) -> None:
        self.agent = agent
        self.output = output
        self.errors = errors
        self.id = name
        self.bundle = bundle

    @property
    def message(self) -> dict[str, Any]:
        return self.agent.messages[0]


@pytest.fixture(scope="module")
def heard(shared: Scope, yard: Yard) -> Iterator[Heard]:
    """A container whose chmod is asked about: the agent lets it fail with ENOMEDIUM."""
    with Agent(yard.directory / "agent.sock") as agent:
        change = seccomp(
            rule(["chmod"], "SCMP_ACT_NOTIFY"), listenerPath=str(agent.path), listenerMetadata="MKNOD=/dev/null"
        )
        one = shared(shell(SURVIVES), change, top(annotations={"org.example.key": "value"}))
        done = one.run()
        yield Heard(agent, done.out, done.err, one.id, str(one.bundle.directory))


@clause(WHERE, DEFINED, "SCMP_ACT_NOTIFY: the agent decides what the call does")
def test_notify(heard: Heard) -> None:
    assert "No medium found" in heard.errors
    assert heard.agent.asked != []


@clause(WHERE, MUST, "exactly one state is sent in a connection, which is then closed")
def test_one_message(heard: Heard) -> None:
    assert len(heard.agent.messages) == 1
    assert heard.agent.closed == 1


@clause(WHERE, DEFINED, "seccompFd comes with the message, by SCM_RIGHTS")
def test_descriptor(heard: Heard) -> None:
    assert len(heard.agent.descriptors) == 1


@pytest.mark.parametrize(
    "name",
    [
        case("fds", id="fds", where=STATE, level=DEFINED, says="fds names the descriptors, in their order"),
        case("pid", id="pid", where=STATE, level=MUST, says="pid is the process as the runtime sees it"),
        case("metadata", id="metadata", where=STATE, level=DEFINED, says="metadata is listenerMetadata"),
        case("ociVersion", id="ociVersion", where=STATE, level=MUST, says="ociVersion is there"),
        case("state", id="state", where=STATE, level=MUST, says="state is the container's state"),
    ],
)
def test_message(heard: Heard, name: str) -> None:
    told = heard.message[name]
    if name == "state":
        assert (told["id"], told["bundle"]) == (heard.id, heard.bundle)
        assert told["annotations"] == {"org.example.key": "value"}
        assert told["status"] in {"creating", "created", "running"}
        assert told["pid"] == heard.message["pid"]
    else:
        wanted: dict[str, bool] = {
            "fds": told == ["seccompFd"],
            "pid": isinstance(told, int) and told > 1,
            "metadata": told == "MKNOD=/dev/null",
            "ociVersion": isinstance(told, str) and told.count(".") == 2,
        }
        assert wanted[name]


@clause(WHERE, MUST, "a listener that cannot be reached is an error")
def test_no_listener(box: Scope, yard: Yard) -> None:
    change = seccomp(rule(["chmod"], "SCMP_ACT_NOTIFY"), listenerPath=str(yard.directory / "nobody.sock"))
    one = box(shell(SURVIVES), change)
    done = one.run()
    assert done.failed
    assert "code" not in done.out


@clause(WHERE, DEFINED, "without SCMP_ACT_NOTIFY listenerPath is ignored")
def test_listener_not_used(box: Scope, yard: Yard) -> None:
    change = seccomp(rule(CHMOD, "SCMP_ACT_ERRNO"), listenerPath=str(yard.directory / "nobody.sock"))
    assert "Operation not permitted" in box(shell(SURVIVES), change).run().err


@clause(WHERE, MUST, "listenerMetadata without listenerPath is an error")
def test_metadata_alone(box: Scope) -> None:
    assert box(seccomp(rule(["chmod"], "SCMP_ACT_NOTIFY"), listenerMetadata="x")).run().failed
