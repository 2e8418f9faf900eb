"""``linux.resources`` of the OCI spec from a HostConfig. Pure. What is not set is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wherry.lib.errors import InvalidArgument
from wherry.runtime.devices import Devices
from wherry.wire.container import HostConfig, ThrottleDevice

_PERIOD = 100_000
"""µs: the period over which ``--cpus`` is enforced."""

_ALLOWED_DEVICES = ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))
"""zero, null, urandom, random, tty, console: Docker's order."""
_FUSE = (10, 229)

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")


def build_resources(config: HostConfig, devices: Devices) -> dict[str, object]:
    """The resources object. Raises InvalidArgument for a device rule that is none."""
    parts: dict[str, object] = {
        "devices": _device_rules(config, devices),
        "memory": _memory(config),
        "cpu": _cpu(config),
        "pids": {"limit": config.pids_limit} if (config.pids_limit or 0) > 0 else {},
        "blockIO": _block_io(config, devices),
    }
    return {name: part for name, part in parts.items() if part}


def parse_device_rule(text: str) -> dict[str, object]:
    """``c 42:* rmw`` as an entry of ``resources.devices``. Raises InvalidArgument in Docker's words."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f'invalid device cgroup rule format: "{text}"')
    kind, major, minor, access = match.groups()
    rule: dict[str, object] = {"allow": True, "type": kind, "access": access}
    for name, number in (("major", major), ("minor", minor)):
        if number != "*":
            rule[name] = int(number)
    return rule


def _device_rules(config: HostConfig, devices: Devices) -> list[dict[str, object]]:
    if config.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    rules += [_character(numbers, allow=True) for numbers in _ALLOWED_DEVICES]
    rules.append(_character(_FUSE, allow=False))
    rules += [node.rule() for node in devices.nodes]
    rules += [parse_device_rule(text) for text in config.device_cgroup_rules or ()]
    return rules


def _character(numbers: tuple[int, int], *, allow: bool) -> dict[str, object]:
    return {"allow": allow, "type": "c", "major": numbers[0], "minor": numbers[1], "access": "rwm"}


def _memory(config: HostConfig) -> dict[str, object]:
    values: dict[str, object] = {
        "limit": max(config.memory, 0),
        "reservation": max(config.memory_reservation, 0),
        "swap": max(config.memory_swap, 0),
        "kernelTCP": config.kernel_memory_tcp,
        "disableOOMKiller": bool(config.oom_kill_disable),
    }
    memory = {name: value for name, value in values.items() if value}
    if config.memory_swappiness is not None and config.memory_swappiness >= 0:
        memory["swappiness"] = config.memory_swappiness
    return memory


def _cpu(config: HostConfig) -> dict[str, object]:
    if config.cpu_shares < 0:
        raise InvalidArgument("shares: invalid argument")
    nano = config.nano_cpus > 0
    values: dict[str, object] = {
        "shares": config.cpu_shares,
        "period": config.cpu_period or (_PERIOD if nano else 0),
        "quota": config.cpu_quota or (config.nano_cpus * _PERIOD // 1_000_000_000 if nano else 0),
        "cpus": config.cpuset_cpus,
        "mems": config.cpuset_mems,
        "realtimePeriod": config.cpu_realtime_period,
        "realtimeRuntime": config.cpu_realtime_runtime,
    }
    return {name: value for name, value in values.items() if value}


def _block_io(config: HostConfig, devices: Devices) -> dict[str, object]:
    def limits(asked: Sequence[ThrottleDevice] | None) -> list[dict[str, object]]:
        return [_numbered(devices, limit.path, "rate", limit.rate) for limit in asked or ()]

    weights = config.blkio_weight_device or ()
    values: dict[str, object] = {
        "weight": config.blkio_weight,
        "weightDevice": [_numbered(devices, weight.path, "weight", weight.weight) for weight in weights],
        "throttleReadBpsDevice": limits(config.blkio_device_read_bps),
        "throttleWriteBpsDevice": limits(config.blkio_device_write_bps),
        "throttleReadIOPSDevice": limits(config.blkio_device_read_iops),
        "throttleWriteIOPSDevice": limits(config.blkio_device_write_iops),
    }
    return {name: value for name, value in values.items() if value}


def _numbered(devices: Devices, path: str, name: str, value: int) -> dict[str, object]:
    major, minor = devices.numbers[path]
    return {"major": major, "minor": minor, name: value}
