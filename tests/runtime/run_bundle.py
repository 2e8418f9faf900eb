"""``run_bundle.py DIRECTORY NAME [--no-pivot] [--unified]``: ``wherry-oci run``, as short as it can be.

The root's tests run their bundles by it, or by the runtime that $WHERRY_TEST_RUNTIME names.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from wherry.linux import process as processes
from wherry.linux.capabilities import mask
from wherry.linux.cgroups import open_hierarchy
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.v2 import CgroupsV2
from wherry.runtime.init import Plan
from wherry.runtime.init_errors import StartError
from wherry.runtime.start import Start


def main(bundle: str, name: str, *options: str) -> int:
    with open(f"{bundle}/config.json", encoding="utf-8") as file:
        spec = json.load(file)
    linux = spec["linux"]
    process = spec["process"]
    namespaces = {entry["type"]: entry.get("path") or "" for entry in linux["namespaces"]}
    sets = process.get("capabilities") or {}
    kinds = ("bounding", "effective", "permitted", "inheritable", "ambient")
    request = {
        "id": name,
        "exec": None,
        "root": {"lower": [f"{bundle}/{spec['root']['path']}"], "upper": "", "work": ""},
        "cgroup": linux.get("cgroupsPath") or "",
        "resources": linux.get("resources"),
        "pid_namespace": namespaces.get("pid"),
        "user_namespace": "user" in namespaces,
        "hooks": {},
        "oom_score_adj": None,
        "stdio": {"tty": bool(process.get("terminal")), "stdin": True, "height": 24, "width": 80},
        "user": None,
        "group_add": (),
        "seccomp": False,
        "capabilities": {kind: mask(sets.get(kind) or ()) for kind in kinds},
        "init": False,
    }
    cgroups: Cgroups = open_hierarchy()
    if "--unified" in options:
        cgroups = CgroupsV2(Hierarchy("/sys/fs/cgroup/unified", (), unified=True))
    plan = Plan(bundle, request, cgroups)
    plan.spec, plan.seccomp, plan.cgroup_path = spec, b"", request["cgroup"]
    plan.no_pivot = "--no-pivot" in options
    processes.set_subreaper()  # in a user namespace it is a grandchild's child that we wait for
    start = Start(plan, cgroups)
    masters: list[int] = []
    try:
        start.fork(() if process.get("terminal") else (0, 1, 2))
        start.make_cgroup()
        start.go()
        start.listen(terminal=masters.append, hooks=lambda _: None, listener=os.close)
        for master in masters:
            copy(master)
        _, status = os.waitpid(start.pid, 0)
        return os.waitstatus_to_exitcode(status) & 0xFF
    except StartError as error:
        print(f"unable to start container process: {error}", file=sys.stderr)
        return 1
    finally:
        start.undo()


def copy(master: int) -> None:
    """The terminal's output, until its last user is gone."""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            return
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(*sys.argv[1:]))
