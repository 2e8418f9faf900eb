"""config-linux.md: each group of resources, as the kernel then shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance.bundle import args, linux, process, shell
from conformance.cgroups import Cgroups
from conformance.clauses import DEFINED, MAY, MUST, case, cases, clause
from conformance.limits import LIMITS, MB, NOT_VALID, Limit
from conformance.yard import Scope, Yard
from support.commands import eventually

SLEEP = args("/bin/sleep", "1000")


def _disk() -> tuple[int, int] | None:
    """A block device of the machine."""
    for block in sorted(Path("/sys/block").iterdir()):
        if not block.name.startswith(("loop", "ram", "zram")):
            major, minor = (block / "dev").read_text().strip().split(":")
            return int(major), int(minor)
    return None


def _for_disk(value: Any, disk: tuple[int, int]) -> Any:
    """The same value with the machine's block device in it."""
    if isinstance(value, dict):
        return {
            name: disk[0] if name == "major" else disk[1] if name == "minor" else _for_disk(item, disk)
            for name, item in value.items()
        }
    return [_for_disk(item, disk) for item in value] if isinstance(value, list) else value


def _place(cgroups: Cgroups, limit: Limit) -> tuple[str, str, str]:
    """Controller, file and line on this machine; skips where it has no such thing."""
    told = limit.v2 if cgroups.unified else limit.v1
    if not told:
        pytest.skip("cgroup v2 has no such limit")
    name, _, line = told.partition(" ")
    controller = name.partition(".")[0]
    if controller == "rdma" and not Path("/sys/class/infiniband").exists():
        pytest.skip("this machine has no rdma device")
    if controller not in (cgroups.v2_controllers() if cgroups.unified else cgroups.v1):
        pytest.skip(f"this machine has no {controller} controller")
    if not cgroups.unified:
        groups = [path for path in cgroups.v1[controller].iterdir() if path.is_dir()]
        if groups and not any((group / name).exists() for group in groups):
            pytest.skip(f"this kernel has no {name}")
    return controller, name, line


@pytest.mark.parametrize(
    "name",
    [
        case(name, id=name, where=f"config-linux.md#{limit.section}", level=DEFINED, says=limit.says)
        for name, limit in LIMITS.items()
    ],
)
def test_limits(box: Scope, yard: Yard, name: str) -> None:
    limit = LIMITS[name]
    controller, file, content = _place(yard.cgroups, limit)
    disk = _disk()
    if "DEVICE" in limit.v1 and disk is None:
        pytest.skip("this machine has no block device")
    value = _for_disk(limit.value, disk) if disk else limit.value
    one = box(SLEEP, linux(resources=value)).made()
    where = yard.cgroups.file(controller, f"{yard.parent}/{one.id}", file)
    if not where.exists():
        pytest.skip(f"this kernel has no {file}")
    wanted = content.replace("DEVICE", f"{disk[0]}:{disk[1]}") if disk else content
    assert any(set(wanted.split()) <= set(line.split()) for line in where.read_text().splitlines())


@pytest.fixture
def realtime(yard: Yard) -> str:
    """A group whose children may have real-time runtime."""
    if not yard.cgroups.has("cpu"):
        pytest.skip("cgroup v1 only")
    top = yard.cgroups.v1["cpu"] / yard.parent.lstrip("/")
    top.mkdir(exist_ok=True)
    file = top / "cpu.rt_runtime_us"
    if not file.exists():
        pytest.skip("this kernel has no cpu.rt_runtime_us")
    try:
        file.write_text("400000")
    except OSError as error:
        pytest.skip(f"no real-time runtime for a group of ours: {error}")
    return yard.parent  # given back with the group: a child that was deleted counts for a moment still


@pytest.mark.parametrize(
    ("file", "told"),
    cases(
        "config-linux.md#cpu",
        DEFINED,
        ("realtimeRuntime", "realtimeRuntime", "cpu.rt_runtime_us", "50000"),
        ("realtimePeriod", "realtimePeriod", "cpu.rt_period_us", "800000"),
    ),
)
def test_realtime(box: Scope, yard: Yard, realtime: str, file: str, told: str) -> None:
    one = box(SLEEP, linux(resources={"cpu": {"realtimeRuntime": 50000, "realtimePeriod": 800000}})).made()
    assert yard.cgroups.file("cpu", f"{realtime}/{one.id}", file).read_text().strip() == told
    one.stop().delete()


@clause("config.md#linux-process", DEFINED, "scheduler: a real-time policy with its priority")
def test_realtime_policy(box: Scope, yard: Yard, realtime: str) -> None:
    one = box(
        args("/bin/cat", "/proc/self/stat"),
        linux(resources={"cpu": {"realtimeRuntime": 50000}}),
        process(scheduler={"policy": "SCHED_FIFO", "priority": 3}),
    )
    done = one.run()
    assert done.code == 0, done.err
    fields = done.out.rpartition(")")[2].split()
    assert (fields[41 - 3], fields[40 - 3]) == ("1", "3")


@pytest.mark.parametrize(
    "name",
    [
        case(name, id=name, where=f"config-linux.md#{section}", level=MUST, says=says)
        for name, (section, says, _) in NOT_VALID.items()
    ],
)
def test_limits_not_valid(box: Scope, yard: Yard, name: str) -> None:
    if name == "pageSize" and not yard.cgroups.has("hugetlb") and not yard.cgroups.unified:
        pytest.skip("this machine has no hugetlb controller")
    if name == "swappiness" and yard.cgroups.unified:
        pytest.skip("cgroup v2 has no swappiness")
    one = box(SLEEP, linux(resources=NOT_VALID[name][2]))
    assert one.create().failed
    assert one.id not in one.runtime.known()
    assert yard.cgroups.groups(f"{yard.parent}/{one.id}") == []


@clause("config-linux.md#memory", DEFINED, "what needs more than the limit is killed")
def test_memory_is_limited(box: Scope) -> None:
    done = box(
        shell("head -c 64m /dev/zero | tail -c 64m | wc -c"),
        linux(resources={"memory": {"limit": 16 * MB, "swap": 16 * MB}}),
    )
    assert done.run().out.strip() != str(64 * MB)


@clause("config-linux.md#pids", DEFINED, "a task more than the limit is not made")
def test_pids_are_limited(box: Scope) -> None:
    script = "for n in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo made"
    done = box(shell(script), linux(resources={"pids": {"limit": 5}})).run()
    assert "can't fork" in done.err


@clause("config-linux.md#cpu", DEFINED, "a container that is held to a quota is throttled")
def test_cpu_is_limited(box: Scope, yard: Yard) -> None:
    one = box(shell("while :; do :; done"), linux(resources={"cpu": {"quota": 5000, "period": 50000}})).made().started()
    stat = yard.cgroups.file("cpu", f"{yard.parent}/{one.id}", "cpu.stat")
    eventually("it is throttled", lambda: "nr_throttled 0\n" not in stat.read_text(), within=30)


@clause("config-linux.md#cgroups-path", DEFINED, "without resources the group has the kernel's own limits")
def test_no_resources(box: Scope, yard: Yard) -> None:
    one = box(SLEEP).made()
    controller = yard.cgroups.anywhere
    assert yard.cgroups.file(controller, f"{yard.parent}/{one.id}", "pids.max").read_text().strip() == "max"


# v2's own files.


def _v2(yard: Yard, name: str) -> None:
    """Skip where the controller is not v2's."""
    if not yard.cgroups.unified or name not in yard.cgroups.v2_controllers():
        pytest.skip(f"needs cgroup v2 with the {name} controller")


UNIFIED = "config-linux.md#unified"


@clause(UNIFIED, DEFINED, "each key is a file of the v2 group")
def test_unified(box: Scope, yard: Yard) -> None:
    _v2(yard, "pids")
    one = box(SLEEP, linux(resources={"unified": {"pids.max": "44"}})).made()
    assert yard.cgroups.file("", f"{yard.parent}/{one.id}", "pids.max").read_text().strip() == "44"


@clause(UNIFIED, MUST, "the controllers that it needs are enabled")
def test_unified_controllers(box: Scope, yard: Yard) -> None:
    _v2(yard, "memory")
    one = box(SLEEP, linux(resources={"unified": {"memory.high": str(32 * MB)}})).made()
    group = f"{yard.parent}/{one.id}"
    assert "memory" in yard.cgroups.file("", group, "cgroup.controllers").read_text().split()


@clause(UNIFIED, MUST, "a key that the runtime does not know is written all the same")
def test_unified_unknown(box: Scope, yard: Yard) -> None:
    _v2(yard, "memory")
    one = box(SLEEP, linux(resources={"unified": {"memory.oom.group": "1"}})).made()
    assert yard.cgroups.file("", f"{yard.parent}/{one.id}", "memory.oom.group").read_text().strip() == "1"


@clause(UNIFIED, MUST, "a controller that is not there is an error")
def test_unified_missing(box: Scope, yard: Yard) -> None:
    one = box(SLEEP, linux(resources={"unified": {"nosuch.max": "1"}}))
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause("config-linux.md#memory", MAY, "checkBeforeUpdate: accepted, and harmless for a new group")
def test_check_before_update(box: Scope) -> None:
    change = linux(resources={"memory": {"limit": 64 * MB, "checkBeforeUpdate": True}})
    assert box(change).run().code == 0


@clause("config-linux.md#intelrdt", DEFINED, "what the kernel cannot allocate is an error")
def test_intel_rdt(box: Scope) -> None:
    if Path("/sys/fs/resctrl/schemata").exists():
        pytest.skip("the kernel has resctrl mounted")
    assert box(linux(intelRdt={"closID": "guaranteed", "l3CacheSchema": "L3:0=7f0"})).create().failed
