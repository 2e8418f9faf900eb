"""config.md, process: limits, capabilities, scheduling and labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from conformance.bundle import CAPABILITIES, args, capabilities, process
from conformance.clauses import DEFINED, MUST, MUST_NOT, SHOULD_NOT, cases, clause
from conformance.probe import status_field
from conformance.yard import Scope

RIGHTS = {name: number for number, name in enumerate(["CAP_CHOWN", "CAP_DAC_OVERRIDE"])} | {
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_AUDIT_WRITE": 29,
}


def mask(*names: str) -> int:
    """A capability set as /proc shows it."""
    return sum(1 << RIGHTS[name] for name in names)


@pytest.fixture(scope="module")
def inside(shared: Scope) -> dict[str, str]:
    """What one process with limits sees of itself."""
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 1024},
        {"type": "RLIMIT_STACK", "soft": 4 << 20, "hard": 8 << 20},
    ]
    parts = {"limits": "cat /proc/1/limits", "oom": "cat /proc/1/oom_score_adj"}
    return shared.look(parts, process(rlimits=limits, oomScoreAdj=321))


# Limits.


@pytest.mark.parametrize(
    ("line", "soft", "hard"),
    cases(
        "config.md#posix-process",
        MUST,
        ("NOFILE", "soft and hard limits are as configured: RLIMIT_NOFILE", "Max open files", "100", "200"),
        ("CORE", "soft and hard limits are as configured: RLIMIT_CORE", "Max core file size", "0", "1024"),
        ("STACK", "soft and hard limits are as configured: RLIMIT_STACK", "Max stack size", "4194304", "8388608"),
    ),
)
def test_rlimits(inside: dict[str, str], line: str, soft: str, hard: str) -> None:
    fields = next(text[len(line) :].split() for text in inside["limits"].splitlines() if text.startswith(line))
    assert fields[:2] == [soft, hard]


KINDS = [
    *("AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS"),
    *("RTPRIO", "RTTIME", "SIGPENDING", "STACK"),
]


@clause("config.md#posix-process", MUST, "every type that the kernel knows can be limited")
def test_every_rlimit(box: Scope) -> None:
    low = {"NICE": 0, "RTPRIO": 0, "CORE": 0}
    limits = [
        {"type": f"RLIMIT_{kind}", "soft": low.get(kind, 1 << 23), "hard": low.get(kind, 1 << 23)}
        for kind in KINDS
        if kind not in {"NOFILE", "NPROC", "AS", "MSGQUEUE", "SIGPENDING", "MEMLOCK"}
    ]
    limits += [{"type": "RLIMIT_AS", "soft": 1 << 40, "hard": 1 << 40}]
    limits += [{"type": f"RLIMIT_{kind}", "soft": 512, "hard": 512} for kind in ("NOFILE", "NPROC", "MEMLOCK")]
    limits += [{"type": f"RLIMIT_{kind}", "soft": 512, "hard": 512} for kind in ("MSGQUEUE", "SIGPENDING")]
    text = box.look({"limits": "cat /proc/1/limits"}, process(rlimits=limits))["limits"]
    assert sum(str(1 << 23) in line for line in text.splitlines()) >= 6
    assert sum(" 512 " in line for line in text.splitlines()) == 5


@clause("config.md#posix-process", MUST, "a type given twice is an error")
def test_rlimit_twice(box: Scope) -> None:
    limit = {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}
    assert box(process(rlimits=[limit, limit])).create().failed


@clause("config.md#posix-process", MUST, "a type that the kernel does not know is an error")
def test_rlimit_unknown(box: Scope) -> None:
    one = box(process(rlimits=[{"type": "RLIMIT_BLUE", "soft": 100, "hard": 200}]))
    assert one.run().failed
    assert one.id not in one.runtime.known()


# Rights.

SETS = {
    "bounding": ("CapBnd", ("CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_CHOWN")),
    "permitted": ("CapPrm", ("CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN")),
    "inheritable": ("CapInh", ("CAP_KILL", "CAP_NET_BIND_SERVICE")),
    "effective": ("CapEff", ("CAP_KILL", "CAP_NET_BIND_SERVICE")),
    "ambient": ("CapAmb", ("CAP_NET_BIND_SERVICE",)),
}


@pytest.fixture(scope="module")
def rights(shared: Scope) -> str:
    """/proc/1/status of a program that is not root's: the sets are what the runtime gave, after execve's rules."""
    return shared.look(
        {"status": "cat /proc/1/status"},
        process(
            user={"uid": 1000, "gid": 1000},
            capabilities={name: list(words) for name, (_, words) in SETS.items()},
        ),
    )["status"]


@pytest.mark.parametrize(
    ("field", "wanted"),
    cases(
        "config.md#linux-process",
        DEFINED,
        ("bounding", "capabilities: the bounding set is as configured", "CapBnd", SETS["bounding"][1]),
        ("inheritable", "capabilities: the inheritable set is as configured", "CapInh", SETS["inheritable"][1]),
        ("ambient", "capabilities: the ambient set is as configured", "CapAmb", SETS["ambient"][1]),
    ),
)
def test_sets_that_last(rights: str, field: str, wanted: tuple[str, ...]) -> None:
    assert int(status_field(rights, field), 16) == mask(*wanted)


@pytest.mark.parametrize(
    "field",
    cases(
        "config.md#linux-process",
        DEFINED,
        ("permitted", "capabilities: the permitted set is as configured", "CapPrm"),
        ("effective", "capabilities: the effective set is as configured", "CapEff"),
    ),
)
def test_sets_of_root(box: Scope, field: str) -> None:
    """execve gives root the whole bounding set: it is configured the same here, and holds nothing else."""
    few = ["CAP_KILL", "CAP_CHOWN"]
    status = box.look(
        {"status": "cat /proc/1/status"}, capabilities(bounding=few, permitted=few, effective=few, inheritable=few)
    )["status"]
    assert int(status_field(status, field), 16) == mask(*few)


@clause("config.md#linux-process", DEFINED, "capabilities: a set that is left out is empty")
def test_no_capabilities(box: Scope) -> None:
    status = box.look({"status": "cat /proc/1/status"}, process(capabilities={}))["status"]
    assert {int(status_field(status, field), 16) for field, _ in SETS.values()} == {0}


@clause("config.md#linux-process", SHOULD_NOT, "a capability that is unknown does not make it fail")
def test_unknown_capability(box: Scope) -> None:
    names = [*CAPABILITIES, "CAP_NO_SUCH_THING"]
    assert box(capabilities(bounding=names, permitted=names, effective=names)).run().code == 0


@clause("config.md#linux-process", MUST, "a capability that is unknown is logged as a warning")
def test_unknown_capability_is_logged(box: Scope) -> None:
    names = [*CAPABILITIES, "CAP_NO_SUCH_THING"]
    done = box(capabilities(bounding=names, permitted=names, effective=names)).run()
    assert "CAP_NO_SUCH_THING" in done.err


@pytest.mark.parametrize(
    ("value", "told"),
    cases(
        "config.md#linux-process",
        DEFINED,
        ("true", "noNewPrivileges: true", True, "1"),
        ("false", "noNewPrivileges: false", False, "0"),
        ("unset", "noNewPrivileges: unset", None, "0"),
    ),
)
def test_no_new_privileges(box: Scope, value: bool | None, told: str) -> None:  # noqa: FBT001  a table's column
    change = process() if value is None else process(noNewPrivileges=value)
    assert status_field(box.look({"status": "cat /proc/1/status"}, change)["status"], "NoNewPrivs") == told


@clause("config.md#linux-process", MUST, "oomScoreAdj is written to the process")
def test_oom_score(inside: dict[str, str]) -> None:
    assert inside["oom"] == "321"


@clause("config.md#linux-process", MUST_NOT, "without oomScoreAdj the value is not changed")
@pytest.mark.parametrize("mine", [0, 55])
def test_oom_score_of_the_caller(box: Scope, mine: int) -> None:
    before = Path("/proc/self/oom_score_adj").read_text()
    if mine < int(before):
        pytest.skip("this process cannot lower its own oom_score_adj")
    one = box(args("/bin/cat", "/proc/self/oom_score_adj"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Path("/proc/self/oom_score_adj").write_text(str(mine))
            code = one.run().code
        finally:
            os._exit(code)
    os.waitpid(child, 0)
    assert one.output == f"{mine}\n"


# Scheduling.


def stat_fields(stat: str) -> list[str]:
    """The fields of /proc/PID/stat from the third on; [n - 3] is the one that proc(5) numbers n."""
    return stat.rpartition(")")[2].split()


SCHED = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5}


@pytest.mark.parametrize(
    ("scheduler", "policy", "nice"),
    cases(
        "config.md#linux-process",
        DEFINED,
        ("batch", "scheduler: policy SCHED_BATCH", {"policy": "SCHED_BATCH"}, 3, 0),
        ("idle", "scheduler: policy SCHED_IDLE", {"policy": "SCHED_IDLE"}, 5, 0),
        ("nice", "scheduler: nice", {"policy": "SCHED_OTHER", "nice": 7}, 0, 7),
    ),
)
def test_scheduler(box: Scope, scheduler: dict[str, Any], policy: int, nice: int) -> None:
    fields = stat_fields(box.look({"stat": "cat /proc/1/stat"}, process(scheduler=scheduler))["stat"])
    assert (int(fields[41 - 3]), int(fields[19 - 3])) == (policy, nice)


@clause("config.md#linux-process", DEFINED, "scheduler: a policy that does not exist is an error")
def test_scheduler_unknown(box: Scope) -> None:
    assert box(process(scheduler={"policy": "SCHED_LUCKY"})).create().failed


@pytest.mark.parametrize(
    ("priority", "told"),
    cases(
        "config.md#linux-process",
        DEFINED,
        (
            "BE",
            "ioPriority: IOPRIO_CLASS_BE with its level",
            {"class": "IOPRIO_CLASS_BE", "priority": 6},
            "best-effort: prio 6",
        ),
        (
            "RT",
            "ioPriority: IOPRIO_CLASS_RT with its level",
            {"class": "IOPRIO_CLASS_RT", "priority": 2},
            "realtime: prio 2",
        ),
        ("IDLE", "ioPriority: IOPRIO_CLASS_IDLE", {"class": "IOPRIO_CLASS_IDLE", "priority": 0}, "idle"),
    ),
)
def test_io_priority(box: Scope, priority: dict[str, Any], told: str) -> None:
    assert box.look({"io": "ionice -p 1"}, process(ioPriority=priority))["io"].startswith(told)


@clause("config.md#linux-process", DEFINED, "ioPriority: a class that does not exist is an error")
def test_io_priority_unknown(box: Scope) -> None:
    assert box(process(ioPriority={"class": "IOPRIO_CLASS_FAST", "priority": 1})).create().failed


@clause("config.md#linux-process", DEFINED, "execCPUAffinity does not apply to the container's first process")
def test_exec_affinity(box: Scope) -> None:
    change = process(execCPUAffinity={"initial": "0", "final": "0"})
    seen = box.look({"status": "cat /proc/1/status"}, change)["status"]
    own = status_field(Path("/proc/self/status").read_text(), "Cpus_allowed_list")
    assert status_field(seen, "Cpus_allowed_list") == own


# Labels: what the kernel has no module for cannot be seen here.


@clause("config.md#linux-process", DEFINED, "apparmorProfile confines the process")
def test_apparmor(box: Scope) -> None:
    if not Path("/sys/module/apparmor").exists():
        pytest.skip("the kernel has no AppArmor")
    done = box.look({"label": "cat /proc/1/attr/current"}, process(apparmorProfile="unconfined"))
    assert done["label"].strip("\0") == "unconfined"


@clause("config.md#linux-process", DEFINED, "apparmorProfile that cannot be applied is an error")
def test_apparmor_missing(box: Scope) -> None:
    if Path("/sys/module/apparmor").exists():
        pytest.skip("the kernel has AppArmor")
    assert box(process(apparmorProfile="no-such-profile")).run().failed


@clause("config.md#linux-process", DEFINED, "selinuxLabel labels the process")
def test_selinux(box: Scope) -> None:
    if not Path("/sys/fs/selinux").is_dir() or not os.listdir("/sys/fs/selinux"):
        pytest.skip("the kernel has no SELinux")
    label = "system_u:system_r:container_t:s0:c1,c2"
    assert box.look({"label": "cat /proc/1/attr/current"}, process(selinuxLabel=label))["label"].strip("\0") == label
