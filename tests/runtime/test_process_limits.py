"""What the kernel grants a container's process (runtime-spec, config: process; config-linux: personality)."""

from __future__ import annotations

import os
import re

import pytest

from runtime.lab import Lab, finish, launcher, play
from runtime.processes import RUNTIME, Process
from wherry.linux.capabilities import available
from wherry.runtime.launcher import StartFailed

pytestmark = pytest.mark.root
ours = pytest.mark.skipif("runc" in RUNTIME, reason="runc 1.1 does not have it")


def limits(program: Process) -> dict[str, list[str]]:
    """Soft and hard limit by the name in /proc/<pid>/limits."""
    text = program.run("cat", "/proc/self/limits").ok().out
    rows = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[1:])
    return {row[0]: row[1:3] for row in rows}


@pytest.mark.parametrize(
    ("kind", "row", "soft", "hard"),
    [
        ("RLIMIT_CPU", "Max cpu time", 100, 200),
        ("RLIMIT_FSIZE", "Max file size", 1 << 30, 1 << 40),
        ("RLIMIT_DATA", "Max data size", 1 << 30, 1 << 40),
        ("RLIMIT_STACK", "Max stack size", 1 << 20, 1 << 22),
        ("RLIMIT_CORE", "Max core file size", 0, 0),
        ("RLIMIT_RSS", "Max resident set", 1 << 30, 1 << 63),
        ("RLIMIT_NPROC", "Max processes", 500, 600),
        ("RLIMIT_NOFILE", "Max open files", 64, 128),
        ("RLIMIT_MEMLOCK", "Max locked memory", 1 << 12, 1 << 13),
        ("RLIMIT_AS", "Max address space", 1 << 33, 1 << 34),
        ("RLIMIT_LOCKS", "Max file locks", 5, 6),
        ("RLIMIT_SIGPENDING", "Max pending signals", 5, 6),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size", 5, 6),
        ("RLIMIT_NICE", "Max nice priority", 0, 0),
        ("RLIMIT_RTPRIO", "Max realtime priority", 0, 0),
        ("RLIMIT_RTTIME", "Max realtime timeout", 5, 6),
    ],
)
def test_each_resource_limit_by_its_name(program: Process, kind, row, soft, hard):
    """All that the kernel has, soft and hard."""
    program.set(rlimits=[{"type": kind, "soft": soft, "hard": hard}])
    assert limits(program)[row] == [str(soft), str(hard)]


def test_a_limit_without_a_limit(program: Process):
    """2⁶⁴-1 is infinity."""
    program.set(rlimits=[{"type": "RLIMIT_CPU", "soft": 5, "hard": 2**64 - 1}])
    assert limits(program)["Max cpu time"] == ["5", "unlimited"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ([("RLIMIT_FOO", 1, 1)], "wrong rlimit value: RLIMIT_FOO"),
        (
            [("RLIMIT_NOFILE", 10, 1)],
            "error setting rlimits for ready process: error setting rlimit type 7: invalid argument",
        ),
        pytest.param([("RLIMIT_CPU", 1, 1), ("RLIMIT_CPU", 2, 2)], "rlimit RLIMIT_CPU is specified twice", marks=ours),
    ],
)
def test_limits_that_make_no_sense(program: Process, limits, message):
    """In runc's words; the specification alone wants the last one refused."""
    program.set(rlimits=[{"type": kind, "soft": soft, "hard": hard} for kind, soft, hard in limits])
    program.run("true").failed(message)


def test_a_limit_above_the_runtimes_own_needs_a_capability(program: Process):
    """Without CAP_SYS_RESOURCE the hard limit cannot be raised, and it says so."""
    if "CAP_SYS_RESOURCE" in available():
        pytest.skip("this machine has CAP_SYS_RESOURCE")
    program.set(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 1 << 22}])
    program.run("true").failed(
        "error setting rlimits for ready process: error setting rlimit type 7: operation not permitted"
    )


def test_the_score_of_the_memory_killer(program: Process):
    """oomScoreAdj; one below the runtime's own is refused without CAP_SYS_RESOURCE, one out of range always."""
    program.set(oomScoreAdj=321)
    assert program.run("cat", "/proc/self/oom_score_adj").ok().out == "321\n"
    program.set(oomScoreAdj=2000)
    program.run("true").failed("failed to update /proc/self/oom_score_adj: ")


def test_the_score_in_a_user_namespace(program: Process):
    """Set before the namespace is entered: its root may not."""
    program.bundle.in_user_namespace()
    program.set(oomScoreAdj=123, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}])
    done = program.shell("cat /proc/self/oom_score_adj; ulimit -n; ulimit -H -n").ok()
    assert done.lines == ["123", "50", "60"]


@pytest.mark.parametrize(("given", "expected"), [(None, "0022"), (0, "0000"), (0o77, "0077")])
def test_the_umask(program: Process, given, expected):
    """process.user.umask; 0022 without one."""
    program.set(user={"uid": 0, "gid": 0, **({} if given is None else {"umask": given})})
    assert program.shell("umask").ok().out == f"{expected}\n"


@ours
def test_the_execution_domain(program: Process):
    """LINUX32 has uname name a 32-bit machine; LINUX is the plain one; flags are none that the specification has."""
    program.linux(personality={"domain": "LINUX32", "flags": ["ANY"]})
    assert program.run("uname", "-m").ok().out == {"x86_64": "i686\n", "aarch64": "armv8l\n"}[os.uname().machine]
    program.linux(personality={"domain": "LINUX"})
    assert program.run("uname", "-m").ok().out == f"{os.uname().machine}\n"
    program.linux(personality={"domain": "SOLARIS"})
    program.run("true").failed("invalid personality domain SOLARIS")


@ours
@pytest.mark.parametrize(
    ("scheduler", "shown"),
    [
        ({"policy": "SCHED_OTHER", "nice": 7}, "7 0 0"),
        ({"policy": "SCHED_FIFO", "priority": 3}, "0 3 1"),
        ({"policy": "SCHED_RR", "priority": 9}, "0 9 2"),
        ({"policy": "SCHED_BATCH", "nice": 5}, "5 0 3"),
        ({"policy": "SCHED_IDLE"}, "0 0 5"),
    ],
)
def test_the_scheduling_policy(program: Process, scheduler, shown):
    """Nice, real-time priority and policy: fields 19, 40 and 41 of stat (proc(5))."""
    if RUNTIME and "priority" in scheduler:
        pytest.skip("its cgroup has no budget for real-time tasks")
    program.set(scheduler=scheduler)
    assert program.run("cut", "-d ", "-f19,40,41", "/proc/self/stat").ok().out == f"{shown}\n"


@ours
def test_the_deadline_policy(program: Process):
    """Runtime, deadline, period in nanoseconds; field 41 of stat is the policy. Such a task cannot fork."""
    times = {"runtime": 10_000_000, "deadline": 30_000_000, "period": 50_000_000}
    done = program.set(scheduler={"policy": "SCHED_DEADLINE", **times}).run("cut", "-d ", "-f41", "/proc/self/stat")
    assert done.ok().out == "6\n"


@ours
def test_the_scheduling_policy_in_a_user_namespace(program: Process):
    """Set before it is entered: its root may not."""
    program.bundle.in_user_namespace()
    program.set(scheduler={"policy": "SCHED_OTHER", "nice": -3}, ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 2})
    done = program.shell("cut -d' ' -f19 /proc/$$/stat; ionice -p $$").ok()
    assert done.lines == ["-3", "realtime: prio 2"]


@ours
def test_a_policy_that_children_do_not_get(program: Process):
    """SCHED_FLAG_RESET_ON_FORK."""
    flags = ["SCHED_FLAG_RESET_ON_FORK"]
    program.set(scheduler={"policy": "SCHED_BATCH", "nice": -2, "flags": flags})
    done = program.shell("cut -d' ' -f19 /proc/$$/stat; cut -d' ' -f19 /proc/self/stat; true").ok()
    assert done.lines == ["-2", "0"]


@ours
@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({"policy": ""}, "scheduler policy is required"),
        ({"policy": "SCHED_DANCE"}, "invalid scheduler policy: SCHED_DANCE"),
        ({"policy": "SCHED_OTHER", "nice": 20}, "invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER"),
        ({"policy": "SCHED_OTHER", "priority": 1}, "scheduler.priority can only be specified for SchedFIFO or SchedRR"),
        ({"policy": "SCHED_RR", "period": 1}, "scheduler runtime/deadline/period can only be specified for SchedDead"),
        ({"policy": "SCHED_RR", "flags": ["X"]}, "invalid scheduler flag: X"),
        ({"policy": "SCHED_RR", "priority": 100}, "error setting scheduler: invalid argument"),
    ],
)
def test_scheduling_that_makes_no_sense(program: Process, scheduler, message):
    """In the words of runc 1.2."""
    program.set(scheduler=scheduler).run("true").failed(message)


@ours
@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("IOPRIO_CLASS_RT", "realtime: prio 3"),
        ("IOPRIO_CLASS_BE", "best-effort: prio 3"),
        ("IOPRIO_CLASS_IDLE", "idle"),
    ],
)
def test_the_priority_of_disk_access(program: Process, kind, shown):
    """As ionice shows it."""
    assert program.set(ioPriority={"class": kind, "priority": 3}).run("ionice", "-p", "1").ok().out == f"{shown}\n"


@ours
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"class": "IOPRIO_CLASS_BE", "priority": 8}, "invalid ioPriority.Priority: 8"),
        ({"class": "IOPRIO_CLASS_X", "priority": 1}, 'invalid ioPriority.Class: "IOPRIO_CLASS_X"'),
    ],
)
def test_disk_priorities_that_make_no_sense(program: Process, given, message):
    """In the words of runc 1.2."""
    program.set(ioPriority=given).run("true").failed(message)


def test_the_processors_of_an_exec(lab: Lab):
    """execCPUAffinity: the final set holds for the program; a set that is none is refused."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    last = max(os.sched_getaffinity(0))

    async def work():
        async with launcher() as runtime:
            container = await runtime.launch(lab.request("sleep", "100"), attach=False)
            request = lab.exec_request(container, "grep", "Cpus_allowed_list", "/proc/self/status")
            request.process["execCPUAffinity"] = {"initial": f"0-{last}", "final": str(last)}
            _, out, _ = await finish(await runtime.exec(request, attach=True))
            assert out.split() == [b"Cpus_allowed_list:", b"%d" % last]
            request = lab.exec_request(container, "true")
            request.process["execCPUAffinity"] = {"final": "3-1"}
            with pytest.raises(StartFailed, match=r"bad CPUAffinity\.Final"):
                await runtime.exec(request, attach=False)
            await container.signal(9)
            await container.wait()

    play(work())
