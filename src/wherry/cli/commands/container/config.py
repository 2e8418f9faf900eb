"""From the options of ``create`` and ``run`` to the body of the create request, key for key as docker sends it.

Go writes a nil list as null, an empty one as [], and leaves out what is marked omitempty; the body keeps these
differences, because a daemon may.
"""

from __future__ import annotations

from wherry.cli import endpoints
from wherry.cli.mounts import split_volumes
from wherry.cli.pairs import pairs, read_pairs
from wherry.cli.ports import expose, parse_ports
from wherry.cli.values import mac_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.flags import Parsed

_MODES = {
    "pid": ("PID", {"", "host"}),
    "uts": ("UTS", {"", "host"}),
    "userns": ("USER", {"", "host"}),
    "cgroupns": ("CGROUP", {"", "host", "private"}),
}
_HEALTH = ("interval", "timeout", "start-period", "start-interval", "retries")


def create_body(options: Parsed, *, proxies: dict[str, str]) -> dict[str, Any]:
    """The request's body. Raises ``ValueError`` with docker's words for what makes no sense."""
    if options["mac-address"]:
        mac_address(options["mac-address"])
    if not -1 <= options["memory-swappiness"] <= 100:
        raise ValueError(f"invalid value: {options['memory-swappiness']}. Valid memory swappiness range is 0-100")
    binds, volumes = split_volumes(options["volume"])
    exposed, bindings = parse_ports(options["publish"])
    expose(options["expose"], exposed)
    devices, requests = _devices(options)
    config = _config(options, volumes=volumes, exposed=exposed, proxies=proxies)
    host = _host_config(options, binds=binds, bindings=bindings) | _resources(options, devices, requests)
    if options["rm"] and host["RestartPolicy"]["Name"] not in {"", "no"}:
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    network = endpoints.endpoints(options)
    main = network.get(host["NetworkMode"])
    if main is not None:
        config["MacAddress"] = main["MacAddress"]
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": network}}


def _config(
    options: Parsed, *, volumes: dict[str, object], exposed: dict[str, object], proxies: dict[str, str]
) -> dict[str, Any]:
    streams = options["attach"]
    stdin = options["interactive"] or "stdin" in streams
    entrypoint = [options["entrypoint"]] if options.given("entrypoint") else None
    given = {one.partition("=")[0]: one for one in options["env"]}  # of two with one name the last counts
    env = [*given.values(), *(f"{name}={value}" for name, value in proxies.items() if name not in given)]
    config = {
        "Hostname": options["hostname"],
        "Domainname": options["domainname"],
        "User": options["user"],
        "AttachStdin": stdin,
        "AttachStdout": not streams or "stdout" in streams,
        "AttachStderr": not streams or "stderr" in streams,
        "ExposedPorts": exposed,
        "Tty": options["tty"],
        "OpenStdin": options["interactive"],
        "StdinOnce": options["interactive"] and stdin,
        "Env": read_pairs(options["env-file"], env, environment=True) or None,
        "Cmd": options.args[1:] or None,
        "Healthcheck": _health(options),
        "Image": options.args[0],
        "Volumes": volumes,
        "WorkingDir": options["workdir"],
        "Entrypoint": entrypoint,
        "MacAddress": options["mac-address"],
        "OnBuild": None,
        "Labels": pairs(read_pairs(options["label-file"], options["label"], environment=False)),
        "StopSignal": options["stop-signal"],
        "StopTimeout": options["stop-timeout"] if options.given("stop-timeout") else None,
    }
    for name in ("ExposedPorts", "Healthcheck", "MacAddress", "StopSignal"):
        if not config[name]:
            del config[name]
    if config["StopTimeout"] is None:
        del config["StopTimeout"]
    return config


def _health(options: Parsed) -> dict[str, Any] | None:
    command = options["health-cmd"]
    values = {name: options[f"health-{name}"] for name in _HEALTH}
    wanted = bool(command) or any(values.values())
    if options["no-healthcheck"]:
        if wanted:
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not wanted:
        return None
    for name in ("interval", "timeout", "retries", "start-period", "start-interval"):
        if values[name] < 0:
            raise ValueError(f"--health-{name} cannot be negative")
    found: dict[str, Any] = {"Test": ["CMD-SHELL", command]} if command else {}
    for name, value in values.items():
        if value:
            found[name.title().replace("-", "")] = value
    return found


def _host_config(options: Parsed, *, binds: list[str], bindings: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    for name, (word, allowed) in _MODES.items():
        mode = options[name]
        joins = name == "pid" and mode.startswith("container:") and mode != "container:"
        if mode not in allowed and not joins:
            raise ValueError(f"--{name}: invalid {word} mode")
    networks = options["network"]
    security, unconfined = _security(options["security-opt"])
    host: dict[str, Any] = {
        "Binds": binds or None,
        "ContainerIDFile": options["cidfile"],
        "LogConfig": {"Type": options["log-driver"], "Config": _log_options(options)},
        "NetworkMode": networks[0]["name"] if networks else "default",
        "PortBindings": bindings,
        "RestartPolicy": restart_policy(options["restart"]),
        "AutoRemove": options["rm"],
        "VolumeDriver": options["volume-driver"],
        "VolumesFrom": options["volumes-from"] or None,
        "ConsoleSize": [0, 0],
        "CapAdd": _capabilities(options["cap-add"]),
        "CapDrop": _capabilities(options["cap-drop"]),
        "CgroupnsMode": options["cgroupns"],
        "Dns": options["dns"],
        "DnsOptions": options["dns-option"],
        "DnsSearch": options["dns-search"],
        "ExtraHosts": options["add-host"] or None,
        "GroupAdd": options["group-add"] or None,
        "IpcMode": options["ipc"],
        "Cgroup": "",
        "Links": options["link"] or None,
        "OomScoreAdj": options["oom-score-adj"],
        "PidMode": options["pid"],
        "Privileged": options["privileged"],
        "PublishAllPorts": options["publish-all"],
        "ReadonlyRootfs": options["read-only"],
        "SecurityOpt": security,
        "UTSMode": options["uts"],
        "UsernsMode": options["userns"],
        "ShmSize": options["shm-size"],
        "Isolation": options["isolation"],
        "MaskedPaths": [] if unconfined else None,
        "ReadonlyPaths": [] if unconfined else None,
    }
    optional = {
        "Annotations": options["annotation"],
        "StorageOpt": _storage(options["storage-opt"]),
        "Tmpfs": {name: value for name, _, value in (one.partition(":") for one in options["tmpfs"])},
        "Sysctls": options["sysctl"],
        "Runtime": options["runtime"],
        "Mounts": options["mount"],
    }
    host |= {name: value for name, value in optional.items() if value}
    if options.given("init"):
        host["Init"] = options["init"]
    return host


def _resources(options: Parsed, devices: list[dict[str, str]], requests: list[dict[str, Any]] | None) -> dict[str, Any]:
    ulimits = {one["Name"]: one for one in options["ulimit"]}
    resources = {
        "CpuShares": options["cpu-shares"],
        "Memory": options["memory"],
        "NanoCpus": options["cpus"],
        "CgroupParent": options["cgroup-parent"],
        "BlkioWeight": options["blkio-weight"],
        "BlkioWeightDevice": options["blkio-weight-device"],
        "BlkioDeviceReadBps": options["device-read-bps"],
        "BlkioDeviceWriteBps": options["device-write-bps"],
        "BlkioDeviceReadIOps": options["device-read-iops"],
        "BlkioDeviceWriteIOps": options["device-write-iops"],
        "CpuPeriod": options["cpu-period"],
        "CpuQuota": options["cpu-quota"],
        "CpuRealtimePeriod": options["cpu-rt-period"],
        "CpuRealtimeRuntime": options["cpu-rt-runtime"],
        "CpusetCpus": options["cpuset-cpus"],
        "CpusetMems": options["cpuset-mems"],
        "Devices": devices,
        "DeviceCgroupRules": options["device-cgroup-rule"] or None,
        "DeviceRequests": requests,
        "MemoryReservation": options["memory-reservation"],
        "MemorySwap": options["memory-swap"],
        "MemorySwappiness": options["memory-swappiness"],
        "OomKillDisable": options["oom-kill-disable"],
        "PidsLimit": options["pids-limit"],
        "Ulimits": [ulimits[name] for name in sorted(ulimits)],
        "CpuCount": options["cpu-count"],
        "CpuPercent": options["cpu-percent"],
        "IOMaximumIOps": options["io-maxiops"],
        "IOMaximumBandwidth": options["io-maxbandwidth"],
    }
    if options["kernel-memory"]:
        resources["KernelMemory"] = options["kernel-memory"]
    return resources


def restart_policy(policy: str) -> dict[str, Any]:
    """``on-failure:3`` as the API has it. Raises ``ValueError``."""
    name, found, count = policy.partition(":")
    if found and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    digits = count[1:] if count[:1] in {"+", "-"} else count
    if count and not (digits.isascii() and digits.isdigit()):
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _log_options(options: Parsed) -> dict[str, str]:
    if options["log-driver"] == "none" and options["log-opt"]:
        raise ValueError(f"invalid logging opts for driver {options['log-driver']}")
    return pairs(options["log-opt"])


def _storage(given: list[str]) -> dict[str, str]:
    if any("=" not in one for one in given):
        raise ValueError("invalid storage option")
    return pairs(given)


def _capabilities(given: list[str]) -> list[str] | None:
    found = {name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in map(str.upper, given)}
    return sorted(found) or None


def _security(given: list[str]) -> tuple[list[str] | None, bool]:
    """The options to send, and whether the paths that containers do not see are to be shown."""
    if not given:
        return None, False
    found = []
    for one in given:
        name, equals, value = one.partition("=")
        if not equals and name != "no-new-privileges":
            name, equals, value = one.partition(":")
        if (not equals or not value) and name != "no-new-privileges":
            raise ValueError(f'Invalid --security-opt: "{one}"')
        if name == "seccomp" and value not in {"builtin", "unconfined"}:
            found.append(f"seccomp={_profile(value)}")
        else:
            found.append(one)
    sent = [one for one in found if one != "systempaths=unconfined"]
    return sent, len(sent) < len(found)


def _profile(path: str) -> str:
    """A seccomp profile's file, on one line."""
    from wherry.cli.format.gojson import compact
    from wherry.client.jsonio import loads

    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        why = f"open {path}: {(error.strerror or '').lower()}"
        raise ValueError(f"opening seccomp profile ({path}) failed: {why}") from error
    try:
        loads(text)
    except ValueError as error:
        at = getattr(error, "pos", len(text))
        why = "unexpected end of JSON input"
        if at < len(text):
            why = f"invalid character '{text[at]}' looking for beginning of value"
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {why}") from error
    return compact(text)


def _devices(options: Parsed) -> tuple[list[dict[str, str]], list[dict[str, Any]] | None]:
    devices, names = [], []
    for one in options["device"]:
        if _is_cdi(one):
            names.append(one)
        else:
            devices.append(_device(one))
    requests = list(options["gpus"])
    if names:
        requests.append({"Driver": "cdi", "Count": 0, "DeviceIDs": names, "Capabilities": None, "Options": None})
    return devices, requests or None


def _is_cdi(text: str) -> bool:
    """Whether it is vendor.com/class=device of the container device interface."""
    kind, found, device = text.partition("=")
    vendor, slash, group = kind.partition("/")
    return bool(found and device and slash and vendor[:1].isalpha() and group[:1].isalpha())


def _device(text: str) -> dict[str, str]:
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"bad format for path: {text}")
    source = target = parts[0]
    access = "rwm"
    if len(parts) == 2 and _is_access(parts[1]):
        access = parts[1]
    elif len(parts) >= 2:
        target = parts[1]
    if len(parts) == 3:
        access = parts[2]
        if not _is_access(access):
            raise ValueError(f"bad mode specified: {access}")
    if not target.startswith("/"):
        raise ValueError(f"{target} is not an absolute path")
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": access}


def _is_access(text: str) -> bool:
    return bool(text) and not text.strip("rwm") and len(set(text)) == len(text)
