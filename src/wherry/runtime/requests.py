"""A request as the files of a bundle, see ``model``: the daemon writes them, a shim reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wherry.linux.capabilities import mask
from wherry.runtime.errors import StartFailed
from wherry.runtime.init_namespaces import host_root, owns_cgroup
from wherry.runtime.model import ExecRequest, LaunchRequest

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
# What an earlier run of the same container may have left.
_STALE = ("shim.json", "exit.json", "shim.sock")


def launch_files(request: LaunchRequest, *, attach: bool) -> dict[str, bytes]:
    """config.json, launch.json and seccomp.bpf of a container. Raises StartFailed."""
    linux: Any = request.spec.get("linux") or {}
    process: Any = request.spec.get("process")
    launch = {
        "id": request.id,
        "exec": None,
        "root": asdict(request.root),
        "cgroup": linux.get("cgroupsPath") or "",
        "resources": linux.get("resources"),
        "pid_namespace": _pid_namespace(linux),
        "user_namespace": any(entry["type"] == "user" for entry in linux.get("namespaces") or ()),
        "annotations": request.spec.get("annotations"),
        "owns_cgroup": owns_cgroup(request.spec),
        "owner": list(host_root(linux)),
        "hooks": request.spec.get("hooks") or {},
        "oom_score_adj": (process or {}).get("oomScoreAdj"),
        "stdio": asdict(request.stdio),
        "log": asdict(request.log) if request.log else None,
        "init": request.init,
        "attach": attach,
        **_identity(request, process),
    }
    return {"config.json": _encode(request.spec), "launch.json": _encode(launch), "seccomp.bpf": request.seccomp}


def exec_files(request: ExecRequest, *, attach: bool) -> dict[str, bytes]:
    """config.json (of which an exec has the process alone), launch.json and seccomp.bpf. Raises StartFailed."""
    launch = {
        "id": request.id,
        "exec": {"pid": request.container_pid, "bundle": str(request.container_bundle)},
        "owner": list(request.owner),
        "stdio": asdict(request.stdio),
        "log": None,
        "init": False,
        "attach": attach,
        **_identity(request, request.process),
    }
    config = _encode({"process": request.process})
    return {"config.json": config, "launch.json": _encode(launch), "seccomp.bpf": request.seccomp}


def write_bundle(bundle: Path, files: Mapping[str, bytes]) -> None:
    """Put the files in the bundle's directory, 0700, and take away what an earlier run has left there.

    Not fsynced: they are of no use after the machine's next start. Raises OSError.
    """
    bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _STALE:
        (bundle / name).unlink(missing_ok=True)
    for name, data in files.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(bundle / name, flags, 0o600), "wb") as file:
            file.write(data)


def failure(payload: bytes) -> StartFailed:
    """The error that a FAILED frame carries."""
    fields = json.loads(payload)
    return StartFailed(fields["code"], fields["message"], engine=fields["engine"])


def cgroup_path(bundle: Path) -> str:
    """The cgroup that a container's configuration names; empty without one."""
    try:
        spec = json.loads((bundle / "config.json").read_bytes())
    except FileNotFoundError:
        return ""
    return str((spec.get("linux") or {}).get("cgroupsPath") or "")


def _identity(request: LaunchRequest | ExecRequest, process: Any) -> dict[str, object]:
    if not isinstance(process, dict) or not process.get("args"):
        raise StartFailed(128, "args must not be empty")
    return {
        "user": request.user,
        "group_add": request.group_add,
        "seccomp": bool(request.seccomp),
        "runtime": request.runtime,
        "capabilities": _capabilities(process.get("capabilities")),
    }


def is_plain(request: LaunchRequest) -> bool:
    """Whether the container gets a new pid namespace, from our own runtime: see ``zygote``."""
    linux: Any = request.spec.get("linux") or {}
    if request.runtime:
        return False
    return _pid_namespace(linux) == "" and not any(entry["type"] == "user" for entry in linux["namespaces"])


def _pid_namespace(linux: Any) -> str | None:
    """The path of the one to join, empty for a new one, None for the host's: what a shim must know before it forks."""
    for entry in linux.get("namespaces") or ():
        if entry["type"] == "pid":
            return entry.get("path") or ""
    return None


def _capabilities(sets: Any) -> dict[str, int] | None:
    """The five sets as the kernel's bits: a container's init has no table of names."""
    if sets is None:
        return None
    try:
        return {name: mask(sets.get(name) or ()) for name in _SETS}
    except KeyError as error:
        raise StartFailed(128, f"unknown capability {error}") from None


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
