"""Resource limits of a HostConfig: checked against Docker's rules and against what the machine can do. Pure.

A limit that the machine does not offer is taken out with a warning, as Docker does; one that makes no sense is refused.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.wire.container import HostConfig

MINIMUM_MEMORY = 6 << 20
_SHARES = (2, 262_144)
_KERNEL = "Your kernel does not support"
_GONE = "or the cgroup is not mounted."
_LARGEST_CPU = 8192


def settle_limits(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    """The limits that will hold, and warnings about those that will not. Raises InvalidArgument in Docker's words."""
    warnings: list[str] = []
    for step in (_memory, _swap, _reservation, _memory_rest, _pids, _nano_cpus, _cpu, _cpuset, _block_io):
        config, more = step(config, host)
        warnings += more
    return config, warnings


def parse_cpu_list(text: str) -> set[int]:
    """``0-2,7`` as numbers. Raises ValueError with Docker's reason."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if match is None:
            raise ValueError(f"invalid format: {part}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > _LARGEST_CPU:
            raise ValueError(f"invalid format: {part}")
        numbers.update(range(first, last + 1))
    return numbers


def _with(config: HostConfig, **changes: Any) -> HostConfig:
    return msgspec.structs.replace(config, **changes)


def _memory(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    if config.memory and config.memory < MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if config.memory > 0 and not host.memory_limit:
        warning = f"{_KERNEL} memory limit capabilities {_GONE} Limitation discarded."
        return _with(config, memory=0, memory_swap=-1), [warning]
    return config, []


def _swap(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    warnings = []
    if config.memory > 0 and config.memory_swap != -1 and not host.swap_limit:
        warnings.append(f"{_KERNEL} swap limit capabilities {_GONE} Memory limited without swap.")
        config = _with(config, memory_swap=-1)
    if 0 < config.memory_swap < config.memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if config.memory == 0 and config.memory_swap > 0:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if config.memory > 0 and config.memory_swap == 0:
        config = _with(config, memory_swap=config.memory * 2)
    return config, warnings


def _reservation(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    reservation = config.memory_reservation
    if reservation > 0 and not host.memory_reservation:
        warning = f"{_KERNEL} memory soft limit capabilities {_GONE} Limitation discarded."
        return _with(config, memory_reservation=0), [warning]
    if 0 < reservation < MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if 0 < config.memory < reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    return config, []


def _memory_rest(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    warnings: list[str] = []
    changes: dict[str, Any] = {}
    swappiness = None if config.memory_swappiness == -1 else config.memory_swappiness
    if swappiness is not None and not host.memory_swappiness:
        warnings.append(f"{_KERNEL} memory swappiness capabilities {_GONE} Memory swappiness discarded.")
        swappiness = None
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    changes["memory_swappiness"] = swappiness
    if config.kernel_memory > 0:
        # Linux 5.4 gave it up, and cgroup v2 never had it.
        warnings.append(f"{_KERNEL} kernel memory limit capabilities {_GONE} Limitation discarded.")
        changes["kernel_memory"] = 0
    if config.kernel_memory_tcp and not host.kernel_memory_tcp:
        warnings.append(f"{_KERNEL} kernel memory TCP limit capabilities {_GONE} Limitation discarded.")
        changes["kernel_memory_tcp"] = 0
    if not host.oom_kill_disable:
        if config.oom_kill_disable:
            warnings.append(f"{_KERNEL} OomKillDisable. OomKillDisable discarded.")
        changes["oom_kill_disable"] = None
    elif config.oom_kill_disable and config.memory == 0:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    return _with(config, **changes), warnings


def _pids(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    """0 and -1 are no limit, which is written as null."""
    limit = config.pids_limit
    if limit is not None and limit <= 0:
        return _with(config, pids_limit=None), []
    if limit and not host.pids_limit:
        warning = f"{_KERNEL} PIDs limit capabilities {_GONE} PIDs limit discarded."
        return _with(config, pids_limit=None), [warning]
    return config, []


def _nano_cpus(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    if config.nano_cpus > 0 and config.cpu_period > 0:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if config.nano_cpus > 0 and config.cpu_quota > 0:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if config.nano_cpus > 0 and not host.cpu_cfs:
        raise InvalidArgument(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted"
        )
    if not 0 <= config.nano_cpus <= host.cpus * 1_000_000_000:
        raise InvalidArgument(
            f"Range of CPUs is from 0.01 to {host.cpus}.00, as there are only {host.cpus} CPUs available"
        )
    return config, []


def _cpu(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    warnings: list[str] = []
    changes: dict[str, Any] = {}
    if config.cpu_shares < 0:
        raise InvalidArgument("shares: invalid argument")
    if config.cpu_shares > 0 and not host.cpu_shares:
        warnings.append(f"{_KERNEL} CPU shares {_GONE} Shares discarded.")
        changes["cpu_shares"] = 0
    elif config.cpu_shares > 0:
        changes["cpu_shares"] = min(max(config.cpu_shares, _SHARES[0]), _SHARES[1])
    if (config.cpu_period or config.cpu_quota) and not host.cpu_cfs:
        warnings.append(f"{_KERNEL} CPU CFS scheduler. CPU period/quota discarded.")
        changes |= {"cpu_period": 0, "cpu_quota": 0}
    if config.cpu_period and not 1000 <= config.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < config.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if config.cpu_percent > 0:
        warnings.append("linux does not support CPU percent. Percent discarded.")
        changes["cpu_percent"] = 0
    return _with(config, **changes), warnings


def _cpuset(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    if (config.cpuset_cpus or config.cpuset_mems) and not host.cpuset:
        warning = f"{_KERNEL} cpuset {_GONE} Cpuset discarded."
        return _with(config, cpuset_cpus="", cpuset_mems=""), [warning]
    _check_list(config.cpuset_cpus, host.cpuset_cpus, "cpus", "CPUs")
    _check_list(config.cpuset_mems, host.cpuset_mems, "mems", "memory nodes")
    return config, []


def _check_list(asked: str, available: str, field: str, what: str) -> None:
    try:
        wanted = parse_cpu_list(asked)
    except ValueError as error:
        raise InvalidArgument(f"Invalid value {asked} for cpuset {field}: {error}") from None
    if wanted - parse_cpu_list(available):
        raise InvalidArgument(f"Requested {what} are not available - requested {asked}, available: {available}")


def _block_io(config: HostConfig, host: HostFacts) -> tuple[HostConfig, list[str]]:
    warnings: list[str] = []
    changes: dict[str, Any] = {}
    if config.blkio_weight > 0 and not host.blkio_weight:
        warnings.append(f"{_KERNEL} Block I/O weight {_GONE} Weight discarded.")
        changes["blkio_weight"] = 0
    elif config.blkio_weight and not 10 <= config.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if config.io_maximum_bandwidth or config.io_maximum_iops:
        raise InvalidArgument("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps")
    if config.blkio_weight_device and not host.blkio_weight_device:
        warnings.append(f"{_KERNEL} Block I/O weight_device {_GONE} Weight-device discarded.")
        changes["blkio_weight_device"] = []
    throttles = (
        ("blkio_device_read_bps", "BPS Block I/O read limit", "Block I/O BPS read limit"),
        ("blkio_device_write_bps", "BPS Block I/O write limit", "Block I/O BPS write limit"),
        ("blkio_device_read_iops", "IOPS Block read limit", "Block I/O IOPS read limit"),
        ("blkio_device_write_iops", "IOPS Block write limit", "Block I/O IOPS write limit"),
    )
    for name, feature, what in throttles:
        if getattr(config, name) and not host.blkio_throttle:
            warnings.append(f"{_KERNEL} {feature} {_GONE} {what} discarded.")
            changes[name] = []
    return _with(config, **changes), warnings
