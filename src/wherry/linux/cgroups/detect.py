"""Which cgroup hierarchies are mounted, from /proc/self/mountinfo. Imports os, and ctypes by ``namespaces``."""

from __future__ import annotations

import os

from wherry.linux.cgroups import files
from wherry.linux.cgroups.base import Cgroups, Hierarchy
from wherry.linux.cgroups.files import CgroupError
from wherry.linux.namespaces import IN_USER_NAMESPACE

# Super-block options of a v1 mount that are no controllers.
_FLAGS = frozenset({"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"})


def open_hierarchy(mountinfo: str = "/proc/self/mountinfo", *, systemd: bool = False) -> Cgroups:
    """The machine's control groups: v1 when one v1 controller is mounted, else v2.

    Both side by side (hybrid) count as v1 and the v2 tree is left alone: it limits nothing, and entering it costs
    more than all the v1 trees together. With ``systemd`` the groups are systemd's units (its cgroup driver). Raises
    CgroupError when no cgroup file system is mounted, or systemd is asked for and does not run.
    """
    hierarchies = parse_mountinfo(files.read(mountinfo))
    # An ordinary user, or root of a user namespace alone.
    rootless = IN_USER_NAMESPACE or os.geteuid() != 0
    legacy = [hierarchy for hierarchy in hierarchies if not hierarchy.unified]
    if any(not name.startswith("name=") for hierarchy in legacy for name in hierarchy.controllers):
        if systemd:
            from wherry.linux.cgroups.systemd import open_v1  # noqa: PLC0415  for those who ask for it

            return open_v1(legacy, rootless=rootless)
        from wherry.linux.cgroups.v1 import CgroupsV1  # noqa: PLC0415  a shim pays for one backend only

        return CgroupsV1(legacy, rootless=rootless)
    for hierarchy in hierarchies:
        if hierarchy.unified:
            offered = files.read_or(f"{hierarchy.mountpoint}/cgroup.controllers").split()
            tree = Hierarchy(hierarchy.mountpoint, tuple(offered), unified=True, root=hierarchy.root)
            if systemd:
                from wherry.linux.cgroups.systemd import open_v2  # noqa: PLC0415

                return open_v2(tree, rootless=rootless)
            from wherry.linux.cgroups.v2 import CgroupsV2  # noqa: PLC0415

            return CgroupsV2(tree, rootless=rootless)
    raise CgroupError("no cgroup file system is mounted")


def parse_mountinfo(text: str) -> list[Hierarchy]:
    """The cgroup mounts in a mountinfo file, the first of each kind: later ones are bind mounts of the same trees."""
    found: list[Hierarchy] = []
    seen: set[tuple[str, ...]] = set()
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if not separator or len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        unified = kind[0] == "cgroup2"
        controllers = () if unified else tuple(filter(_is_controller, kind[2].split(",")))
        key = ("cgroup2",) if unified else tuple(sorted(controllers))
        if key not in seen and (unified or controllers):
            seen.add(key)
            found.append(Hierarchy(_unescape(fields[4]), controllers, unified=unified, root=_unescape(fields[3])))
    return found


def _is_controller(option: str) -> bool:
    """A controller, or ``name=…`` of a named tree; flags and options with a value (release_agent=) are neither."""
    return option.startswith("name=") or ("=" not in option and option not in _FLAGS)


def _unescape(text: str) -> str:
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, char)
    return text
