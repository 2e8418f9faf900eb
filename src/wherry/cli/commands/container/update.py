"""``update``: new limits and another restart policy for containers that exist."""

from __future__ import annotations

from wherry.cli.commands.container.config import restart_policy
from wherry.cli.commands.container.options import LIMITS
from wherry.cli.errors import CliError, join
from wherry.cli.flags import Command, Option
from wherry.client import container
from wherry.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def update_body(options: Parsed) -> dict[str, Any]:
    """The request's body, key for key as docker sends it. Raises ``ValueError`` for a bad restart policy."""
    policy = options["restart"]
    return {
        "CpuShares": options["cpu-shares"],
        "Memory": options["memory"],
        "NanoCpus": options["cpus"],
        "CgroupParent": "",
        "BlkioWeight": options["blkio-weight"],
        "BlkioWeightDevice": None,
        "BlkioDeviceReadBps": None,
        "BlkioDeviceWriteBps": None,
        "BlkioDeviceReadIOps": None,
        "BlkioDeviceWriteIOps": None,
        "CpuPeriod": options["cpu-period"],
        "CpuQuota": options["cpu-quota"],
        "CpuRealtimePeriod": options["cpu-rt-period"],
        "CpuRealtimeRuntime": options["cpu-rt-runtime"],
        "CpusetCpus": options["cpuset-cpus"],
        "CpusetMems": options["cpuset-mems"],
        "Devices": None,
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        "MemoryReservation": options["memory-reservation"],
        "MemorySwap": options["memory-swap"],
        "MemorySwappiness": None,
        "OomKillDisable": None,
        "PidsLimit": options["pids-limit"] or None,
        "Ulimits": None,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "RestartPolicy": restart_policy(policy) if policy else {"Name": "", "MaximumRetryCount": 0},
    }


def _update(app: App, options: Parsed) -> int:
    if not options.changed:
        raise CliError("you must provide one or more flags when using this command")
    try:
        body = update_body(options)
    except ValueError as error:
        raise CliError(str(error)) from error
    warnings: list[str] = []
    errors: list[str] = []
    for name in options.args:
        try:
            answer = container.update(app.client, name, body)
        except ClientError as error:
            errors.append(str(error))
            continue
        app.line(name)
        warnings += answer.get("Warnings") or []
    if warnings:
        app.line("\n".join(warnings))
    join(errors)
    return 0


UPDATE = Command(
    _update,
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    short="Update configuration of one or more containers",
    options=(
        *LIMITS,
        Option("cpu-rt-period", "", "int", "Limit the CPU real-time period in microseconds", since="1.25"),
        Option("cpu-rt-runtime", "", "int", "Limit the CPU real-time runtime in microseconds", since="1.25"),
        Option("cpus", "", "decimal", "Number of CPUs", default=0, check="cpus", since="1.29"),
        Option(
            "memory-swap",
            "",
            "bytes",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
            default=0,
            check="swap",
        ),
        Option("pids-limit", "", "int", "Tune container pids limit (set -1 for unlimited)", since="1.40"),
        Option("restart", "", "string", "Restart policy to apply when a container exits"),
    ),
    minimum=1,
    aliases="container update, update",
)
