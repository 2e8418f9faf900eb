"""Of which types config.json is made (runtime-spec 1.2); Go's words for the first value of another type. Pure.

string bool int64 uint32 …     as in Go
string:Name                    a string whose Go type has that name
[]T  {}T                       a list, an object with any names
Name                           an object with the fields below; what it has besides is left alone
"""

from __future__ import annotations

from wherry.runtime.oci.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RANGES = {
    "int": (-(1 << 63), (1 << 63) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint": (0, (1 << 64) - 1),
    "uint16": (0, (1 << 16) - 1),
    "uint32": (0, (1 << 32) - 1),
    "uint64": (0, (1 << 64) - 1),
}

_MAPPINGS = "[]LinuxIDMapping"
_THROTTLES = "[]LinuxThrottleDevice"
_HOOKS = "[]Hook"

_STRUCTS: dict[str, dict[str, str]] = {
    "Spec": {
        "ociVersion": "string", "process": "Process", "root": "Root", "hostname": "string", "domainname": "string",
        "mounts": "[]Mount", "hooks": "Hooks", "annotations": "{}string", "linux": "Linux",
    },
    "Process": {
        "terminal": "bool", "consoleSize": "Box", "user": "User", "args": "[]string", "commandLine": "string",
        "env": "[]string", "cwd": "string", "capabilities": "LinuxCapabilities", "rlimits": "[]POSIXRlimit",
        "noNewPrivileges": "bool", "apparmorProfile": "string", "oomScoreAdj": "int", "scheduler": "Scheduler",
        "selinuxLabel": "string", "ioPriority": "LinuxIOPriority",
    },
    "Box": {"height": "uint", "width": "uint"},
    "User": {"uid": "uint32", "gid": "uint32", "umask": "uint32", "additionalGids": "[]uint32", "username": "string"},
    "LinuxCapabilities": dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), "[]string"),
    "POSIXRlimit": {"type": "string", "hard": "uint64", "soft": "uint64"},
    "Scheduler": {
        "policy": "string:LinuxSchedulerPolicy", "nice": "int32", "priority": "int32",
        "flags": "[]string:LinuxSchedulerFlag", "runtime": "uint64", "deadline": "uint64", "period": "uint64",
    },
    "LinuxIOPriority": {"class": "string:IOPriorityClass", "priority": "int"},
    "Root": {"path": "string", "readonly": "bool"},
    "Mount": {
        "destination": "string", "type": "string", "source": "string", "options": "[]string",
        "uidMappings": _MAPPINGS, "gidMappings": _MAPPINGS,
    },
    "Hooks": dict.fromkeys(
        ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"), _HOOKS
    ),
    "Hook": {"path": "string", "args": "[]string", "env": "[]string", "timeout": "int"},
    "Linux": {
        "uidMappings": _MAPPINGS, "gidMappings": _MAPPINGS, "sysctl": "{}string", "resources": "LinuxResources",
        "cgroupsPath": "string", "namespaces": "[]LinuxNamespace", "devices": "[]LinuxDevice",
        "seccomp": "LinuxSeccomp", "rootfsPropagation": "string", "maskedPaths": "[]string",
        "readonlyPaths": "[]string", "mountLabel": "string", "intelRdt": "LinuxIntelRdt",
        "personality": "LinuxPersonality", "timeOffsets": "{}LinuxTimeOffset",
    },
    "LinuxIDMapping": {"containerID": "uint32", "hostID": "uint32", "size": "uint32"},
    "LinuxNamespace": {"type": "string:LinuxNamespaceType", "path": "string"},
    "LinuxTimeOffset": {"secs": "int64", "nanosecs": "uint32"},
    "LinuxDevice": {
        "path": "string", "type": "string", "major": "int64", "minor": "int64", "fileMode": "uint32", "uid": "uint32",
        "gid": "uint32",
    },
    "LinuxPersonality": {"domain": "string:LinuxPersonalityDomain", "flags": "[]string:LinuxPersonalityFlag"},
    "LinuxIntelRdt": {
        "closID": "string", "l3CacheSchema": "string", "memBwSchema": "string", "enableCMT": "bool",
        "enableMBM": "bool",
    },
    "LinuxSeccomp": {
        "defaultAction": "string:LinuxSeccompAction", "defaultErrnoRet": "uint", "architectures": "[]string:Arch",
        "flags": "[]string:LinuxSeccompFlag", "listenerPath": "string", "listenerMetadata": "string",
        "syscalls": "[]LinuxSyscall",
    },
    "LinuxSyscall": {
        "names": "[]string", "action": "string:LinuxSeccompAction", "errnoRet": "uint", "args": "[]LinuxSeccompArg",
    },
    "LinuxSeccompArg": {
        "index": "uint", "value": "uint64", "valueTwo": "uint64", "op": "string:LinuxSeccompOperator",
    },
    "LinuxResources": {
        "devices": "[]LinuxDeviceCgroup", "memory": "LinuxMemory", "cpu": "LinuxCPU", "pids": "LinuxPids",
        "blockIO": "LinuxBlockIO", "hugepageLimits": "[]LinuxHugepageLimit", "network": "LinuxNetwork",
        "rdma": "{}LinuxRdma", "unified": "{}string",
    },
    "LinuxDeviceCgroup": {"allow": "bool", "type": "string", "major": "int64", "minor": "int64", "access": "string"},
    "LinuxMemory": {
        "limit": "int64", "reservation": "int64", "swap": "int64", "kernel": "int64", "kernelTCP": "int64",
        "swappiness": "uint64", "disableOOMKiller": "bool", "useHierarchy": "bool", "checkBeforeUpdate": "bool",
    },
    "LinuxCPU": {
        "shares": "uint64", "quota": "int64", "burst": "uint64", "period": "uint64", "realtimeRuntime": "int64",
        "realtimePeriod": "uint64", "cpus": "string", "mems": "string", "idle": "int64",
    },
    "LinuxPids": {"limit": "int64"},
    "LinuxBlockIO": {
        "weight": "uint16", "leafWeight": "uint16", "weightDevice": "[]LinuxWeightDevice",
        "throttleReadBpsDevice": _THROTTLES, "throttleWriteBpsDevice": _THROTTLES,
        "throttleReadIOPSDevice": _THROTTLES, "throttleWriteIOPSDevice": _THROTTLES,
    },
    "LinuxWeightDevice": {"major": "int64", "minor": "int64", "weight": "uint16", "leafWeight": "uint16"},
    "LinuxThrottleDevice": {"major": "int64", "minor": "int64", "rate": "uint64"},
    "LinuxHugepageLimit": {"pageSize": "string", "limit": "uint64"},
    "LinuxNetwork": {"classID": "uint32", "priorities": "[]LinuxInterfacePriority"},
    "LinuxInterfacePriority": {"name": "string", "priority": "uint32"},
    "LinuxRdma": {"hcaHandles": "uint32", "hcaObjects": "uint32"},
}  # fmt: skip
_RANGES["int32"] = (-(1 << 31), (1 << 31) - 1)


def check(value: Any, kind: str = "Spec") -> None:
    """Refuse a ``value`` that is not made as ``kind`` says. Raises Failure."""
    if value is not None:
        _check(value, kind, "", "")


def _check(value: Any, kind: str, struct: str, path: str) -> None:
    if kind.startswith(("[]", "{}")):
        _check_items(value, kind, struct, path)
    elif kind in _STRUCTS:
        if not isinstance(value, dict):
            raise _mismatch(value, kind, struct, path)
        fields = _STRUCTS[kind]
        for name, item in value.items():
            # In Go null leaves a field as it was.
            if name in fields and item is not None:
                _check(item, fields[name], kind, f"{path}.{name}")
    elif not _is_scalar(value, kind):
        raise _mismatch(value, kind, struct, path)


def _check_items(value: Any, kind: str, struct: str, path: str) -> None:
    if not isinstance(value, list if kind.startswith("[]") else dict):
        raise _mismatch(value, kind, struct, path)
    for item in value.values() if isinstance(value, dict) else value:
        _check(item, kind[2:], struct, path)


def _is_scalar(value: Any, kind: str) -> bool:
    if kind.startswith("string"):
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    least, most = _RANGES[kind]
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _mismatch(value: Any, kind: str, struct: str, path: str) -> Failure:
    where = f"Go struct field {struct}{path}" if struct else "Go value"
    return Failure(f"json: cannot unmarshal {_describe(value, kind)} into {where} of type {_go_type(kind)}")


def _describe(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value!r}" if kind in _RANGES else "number"
    if value is None:
        return "null"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _go_type(kind: str) -> str:
    if kind.startswith("[]"):
        return f"[]{_go_type(kind[2:])}"
    if kind.startswith("{}"):
        return f"map[string]{_go_type(kind[2:])}"
    name = kind.rpartition(":")[2]
    return f"specs.{name}" if name[0].isupper() else name
