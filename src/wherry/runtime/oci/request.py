"""What init is asked for besides config.json, out of config.json itself: the dictionary that ``runtime.requests`` makes
for the daemon's containers.
"""

from __future__ import annotations

from wherry.linux.capabilities import masks
from wherry.runtime.init_namespaces import owns_cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.runtime.oci.report import Report

    Json = dict[str, Any]


def of_container(container_id: str, config: Json, rootfs: str, cgroup: str, *, seccomp: bytes, report: Report) -> Json:
    """For a container's first process."""
    linux = config.get("linux") or {}
    spaces = {entry["type"]: entry.get("path") or "" for entry in linux.get("namespaces") or ()}
    return {
        **_of_process(container_id, config["process"], seccomp=seccomp, report=report),
        "exec": None,
        "root": {"lower": [rootfs], "upper": "", "work": ""},
        "cgroup": cgroup,
        "resources": linux.get("resources"),
        "pid_namespace": spaces.get("pid"),
        "user_namespace": "user" in spaces,
        "hooks": config.get("hooks") or {},
        "annotations": config.get("annotations"),
        "owns_cgroup": owns_cgroup(config),
    }


def of_exec(container_id: str, bundle: str, pid: int, process: Json, *, seccomp: bytes, report: Report) -> Json:
    """For a further process of the container whose init is ``pid``."""
    return {
        **_of_process(container_id, process, seccomp=seccomp, report=report),
        "exec": {"pid": pid, "bundle": bundle},
        "cgroup": "",
        "resources": None,
    }


def _of_process(container_id: str, process: Json, *, seccomp: bytes, report: Report) -> Json:
    size = process.get("consoleSize") or {}
    return {
        "id": container_id,
        "stdio": {
            "tty": bool(process.get("terminal")),
            "stdin": True,
            "height": size.get("height") or 0,
            "width": size.get("width") or 0,
        },
        "user": None,
        "group_add": [],
        "seccomp": bool(seccomp),
        "capabilities": _capabilities(process, report),
        "oom_score_adj": process.get("oomScoreAdj"),
        "init": False,
        # Its parent goes, and it stays.
        "lasting": True,
    }


def _capabilities(process: Json, report: Report) -> dict[str, int]:
    """None of them where the configuration does not name any."""
    sets, unknown = masks(process.get("capabilities") or {})
    if unknown:
        report.warning(f"ignoring unknown or unavailable capabilities: [{' '.join(unknown)}]")
    return sets
