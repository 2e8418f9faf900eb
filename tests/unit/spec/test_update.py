"""``docker update``: what may change, what it comes to, and dockerd's words for what may not."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.lib.errors import Conflict, InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.runtime.spec_update import apply_update, settle_update, update_resources
from wherry.wire.container import HostConfig, RestartPolicy

HOST = HostFacts(cpus=2, cpuset_cpus="0-1", cpuset_mems="0")
MEBI = 1 << 20


def updated(current: dict[str, Any], **change: Any) -> HostConfig:
    return apply_update(HostConfig(**current), settle_update(HostConfig(**change), HOST)[0])


def resources(**change: Any) -> dict[str, Any]:
    return update_resources(settle_update(HostConfig(**change), HOST)[0])


def test_only_what_is_named_changes() -> None:
    """Also a restart policy alone; limits that were there stay."""
    before = {"memory": 64 * MEBI, "memory_swap": 128 * MEBI, "cpu_shares": 512}
    assert updated(before, cpu_shares=100) == HostConfig(**{**before, "cpu_shares": 100})
    after = updated(before, restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=3))
    assert (after.memory, after.restart_policy.maximum_retry_count) == (64 * MEBI, 3)


def test_no_default_comes_in() -> None:
    """At create a memory limit brings twice as much with swap; here it would change what nobody named."""
    assert updated({"memory_swap": 128 * MEBI}, memory=32 * MEBI).memory_swap == 128 * MEBI
    assert resources(memory=32 * MEBI) == {"memory": {"limit": 32 * MEBI}}


def test_swap_alone() -> None:
    """At create it needs a memory limit beside it; here that limit may be set already."""
    assert resources(memory_swap=100 * MEBI) == {"memory": {"swap": 100 * MEBI}}
    assert resources(memory_swap=-1) == {"memory": {"swap": -1}}


def test_cpus_are_quota_and_period() -> None:
    assert resources(nano_cpus=500_000_000) == {"cpu": {"period": 100_000, "quota": 50_000}}
    assert resources(cpu_quota=20_000) == {"cpu": {"quota": 20_000}}
    assert resources(cpu_realtime_runtime=5, cpuset_cpus="0") == {"cpu": {"cpus": "0", "realtimeRuntime": 5}}


@pytest.mark.parametrize(("limit", "stored", "told"), [(50, 50, 50), (0, 0, -1)])
def test_process_limit(limit: int, stored: int, told: int) -> None:
    """0 takes the limit away; -1 is the runtime's word for that."""
    assert updated({"pids_limit": 7}, pids_limit=limit).pids_limit == stored
    assert resources(pids_limit=limit) == {"pids": {"limit": told}}
    assert updated({"pids_limit": 7}, cpu_shares=5).pids_limit == 7


MEMORYSWAP = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"


@pytest.mark.parametrize(
    ("current", "change", "message"),
    [
        ({"memory_swap": 50 * MEBI}, {"memory": 60 * MEBI}, MEMORYSWAP),
        ({}, {"memory": 60 * MEBI}, MEMORYSWAP),
        ({"memory_swap": -1}, {"memory": 60 * MEBI}, MEMORYSWAP),
        (
            {"nano_cpus": 1},
            {"cpu_quota": 5000},
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
        (
            {"nano_cpus": 1},
            {"cpu_period": 5000},
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        ),
        (
            {"cpu_period": 5000},
            {"nano_cpus": 1_000_000_000},
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        ),
        (
            {"cpu_quota": 5000},
            {"nano_cpus": 1_000_000_000},
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        ),
        (
            {"auto_remove": True},
            {"restart_policy": RestartPolicy(name="always")},
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        ),
    ],
)
def test_what_does_not_go_with_what_holds(current: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(Conflict) as refusal:
        updated(current, **change)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"memory": 4 * MEBI}, "Minimum memory limit allowed is 6MB"),
        (
            {"memory": 60 * MEBI, "memory_swap": 50 * MEBI},
            "Minimum memoryswap limit should be larger than memory limit",
        ),
        ({"cpuset_cpus": "77"}, "Requested CPUs are not available - requested 77, available: 0-1"),
        ({"restart_policy": RestartPolicy(name="foo")}, "invalid restart policy: unknown policy 'foo'"),
        ({"restart_policy": RestartPolicy(name="no", maximum_retry_count=3)}, "maximum retry count can only be used"),
        ({"nano_cpus": 1, "cpu_quota": 5000}, "Nano CPUs and CPU Quota cannot both be set"),
    ],
)
def test_what_makes_no_sense(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        updated({}, **change)


def test_a_limit_that_the_machine_has_not() -> None:
    """It is not stored, and the user is told."""
    settled, warnings = settle_update(HostConfig(kernel_memory=50 * MEBI, cpu_shares=3), HOST)
    assert settled.kernel_memory == 0
    (warning,) = warnings
    assert warning.startswith("Your kernel does not support kernel memory limit capabilities")
