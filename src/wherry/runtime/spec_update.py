"""``docker update``: how a container's limits and restart policy may change, and what its cgroup is told. Pure.

A change is a HostConfig in which only limits and restart policy are set; what it leaves at zero stays as it was. Checks
and words are dockerd's, which looks at the change first by itself, then beside what holds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.lib.errors import Conflict
from wherry.runtime.host import HostFacts
from wherry.runtime.spec_conflicts import check_restart
from wherry.runtime.spec_limits import settle_limits
from wherry.wire.container import HostConfig

_PERIOD = 100_000
"""µs: the period over which ``--cpus`` is enforced."""

_CHANGEABLE = (
    "blkio_weight",
    "cpu_shares",
    "nano_cpus",
    "cpu_period",
    "cpu_quota",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "kernel_memory",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
)


def settle_update(change: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    """The change as this machine can make it, and warnings. Raises InvalidArgument."""
    check_restart(change.restart_policy)
    # A limit for memory and swap together may stand alone here: that for memory is set already. And no default comes
    # in: what is not said does not change. No limit of processes is written as 0.
    alone = change.memory == 0 and change.memory_swap > 0
    given = msgspec.structs.replace(change, memory_swap=0) if alone else change
    settled, warnings = settle_limits(given, host)
    swap = settled.memory_swap
    if alone or (change.memory_swap == 0 and swap > 0):
        swap = change.memory_swap
    pids = change.pids_limit if change.pids_limit == 0 else settled.pids_limit
    return msgspec.structs.replace(settled, memory_swap=swap, pids_limit=pids), warnings


def apply_update(current: HostConfig, change: HostConfig) -> HostConfig:
    """``current`` with the settled change. Raises Conflict where the two do not go together."""
    for conflict, message in (
        (change.nano_cpus > 0 and current.cpu_period > 0, "Nano CPUs cannot be updated as CPU Period"),
        (change.nano_cpus > 0 and current.cpu_quota > 0, "Nano CPUs cannot be updated as CPU Quota"),
        (change.cpu_period > 0 and current.nano_cpus > 0, "CPU Period cannot be updated as NanoCPUs"),
        (change.cpu_quota > 0 and current.nano_cpus > 0, "CPU Quota cannot be updated as NanoCPUs"),
    ):
        if conflict:
            raise Conflict(f"Conflicting options: {message} has already been set")
    if change.memory > current.memory_swap and change.memory and not change.memory_swap:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    policy = change.restart_policy
    if policy.name not in ("", "no") and current.auto_remove:
        raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
    changes: dict[str, Any] = {name: value for name in _CHANGEABLE if (value := getattr(change, name))}
    if change.pids_limit is not None:
        changes["pids_limit"] = change.pids_limit
    if policy.name:
        changes["restart_policy"] = policy
    return msgspec.structs.replace(current, **changes)


def update_resources(change: HostConfig) -> dict[str, Any]:
    """``linux.resources`` with the settled change alone, for the cgroup of a running container."""
    nano = change.nano_cpus
    cpu: dict[str, Any] = {
        "shares": change.cpu_shares,
        "period": _PERIOD if nano else change.cpu_period,
        "quota": nano * _PERIOD // 1_000_000_000 or change.cpu_quota,
        "cpus": change.cpuset_cpus,
        "mems": change.cpuset_mems,
        "realtimePeriod": change.cpu_realtime_period,
        "realtimeRuntime": change.cpu_realtime_runtime,
    }
    memory: dict[str, Any] = {
        "limit": change.memory,
        "swap": change.memory_swap,
        "reservation": change.memory_reservation,
    }
    parts: dict[str, dict[str, Any]] = {
        "cpu": {name: value for name, value in cpu.items() if value},
        "memory": {name: value for name, value in memory.items() if value},
        "blockIO": {"weight": change.blkio_weight} if change.blkio_weight else {},
        "pids": {} if change.pids_limit is None else {"limit": change.pids_limit or -1},
    }
    return {name: part for name, part in parts.items() if part}
