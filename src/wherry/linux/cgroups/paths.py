"""Where a container's control group is: ``linux.cgroupsPath`` of the OCI spec, by runc's rules. Pure; imports ``os``.

    cgroups_path        cgroupfs driver                          systemd driver (``slice:prefix:name``)
    /a/b                /a/b from the top of every tree          refused
    a/b                 below the runtime's own group            refused
    (empty)             <id> below the runtime's own group       system.slice:wherry:<id>; rootless user.slice:…
    /a/../../b          /b: ``..`` ends at the top               refused
    a-b.slice:x:y       a-b.slice:x:y below its own group        /a.slice/a-b.slice/x-y.scope

On v1 the runtime may be in other groups in other trees. Then a path has several lines: the first is the group in most
trees, each further one ``controller:path`` says where it is in the tree of that controller. Callers need not look.
"""

from __future__ import annotations

import os

from wherry.linux.cgroups.files import CgroupError

_PREFIX = "wherry"
_SLICE = ".slice"


def check_path(path: str) -> str:
    """``path`` unless it could leave its hierarchy or break a kernel file. Raises CgroupError."""
    if "\n" not in path:
        return _check(path)
    first, *others = path.split("\n")
    _check(first)
    for line in others:
        controller, colon, own = line.partition(":")
        if not controller or not colon:
            raise CgroupError(f"invalid cgroup path {path!r}: unprintable component")
        _check(own)
    return path


def _check(path: str) -> str:
    parts = path.split("/")
    if not path.startswith("/") or len(parts) < 2 or not all(parts[1:]):
        raise CgroupError(f"invalid cgroup path {path!r}: it must be absolute, not the root")
    if any(part in (".", "..") for part in parts) or any(ord(char) < 0x20 for char in path):
        raise CgroupError(f"invalid cgroup path {path!r}: relative or unprintable component")
    return path


def resolve(cgroups_path: str, container_id: str, own: str = "/") -> str:
    """The path from the top of a tree in which the caller's own group is ``own``. Raises CgroupError."""
    if cgroups_path.startswith("/"):
        return _check(_clean(cgroups_path))
    # Cleaned before it is joined: its ``..`` must not climb out of the caller's group either.
    inner = _clean(f"/{cgroups_path or container_id}")
    return _check(_clean(own.rstrip("/") + inner))


def resolve_unit(cgroups_path: str, container_id: str, *, base: str = "/", rootless: bool = False) -> str:
    """The path of the systemd unit that ``slice:prefix:name`` means; ``base`` is systemd's own group.

    A name that ends in ``.slice`` is one itself. Raises CgroupError.
    """
    slice_name, prefix, name = "", _PREFIX, container_id
    if cgroups_path:
        parts = cgroups_path.split(":")
        if len(parts) != 3:
            expected = 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups'
            raise CgroupError(f'{expected}, got "{cgroups_path}" instead')
        slice_name, prefix, name = parts
    unit = name if name.endswith(_SLICE) else f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    if "/" in unit or not name:
        raise CgroupError(f"invalid unit name: {unit}")
    parent = expand_slice(slice_name or ("user.slice" if rootless else "system.slice"))
    return _check(_clean(f"{base.rstrip('/')}{parent.rstrip('/')}/{unit}"))


def expand_slice(name: str) -> str:
    """Where systemd puts a slice: ``a-b.slice`` is in ``/a.slice/a-b.slice``. Raises CgroupError."""
    stem = name.removesuffix(_SLICE)
    if stem == name or "/" in name:
        raise CgroupError(f"invalid slice name: {name}")
    if stem == "-":
        return "/"
    parts = stem.split("-")
    if not all(parts):
        raise CgroupError(f"invalid slice name: {name}")
    return "".join(f"/{'-'.join(parts[: count + 1])}{_SLICE}" for count in range(len(parts)))


def unit_of(path: str) -> tuple[str, str]:
    """The unit and the slice of a path that ``resolve_unit`` made."""
    parent, _, unit = first_line(path).rpartition("/")
    slice_name = parent.rpartition("/")[2]
    return unit, slice_name if slice_name.endswith(_SLICE) else "-.slice"


def own_groups(text: str) -> dict[str, str]:
    """/proc/<pid>/cgroup as controller → group; the v2 tree's is under the empty name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        for controller in controllers.split(","):
            found[controller] = path or "/"
    return found


def below_mount(group: str, root: str) -> str:
    """A group's path as seen below a mount of the tree from ``root``; the top when it is elsewhere."""
    if root == "/":
        return "/" if group.startswith("/..") else group
    return group[len(root) :] or "/" if group == root or group.startswith(f"{root}/") else "/"


def join_lines(paths: dict[str, str]) -> str:
    """One path for trees (named by their first controller) in which a group is at different places."""
    counts: dict[str, int] = {}
    for path in paths.values():
        counts[path] = counts.get(path, 0) + 1
    common = max(counts, key=lambda path: counts[path])
    others = [f"{name}:{path}" for name, path in paths.items() if path != common]
    return "\n".join([common, *others])


def line_for(path: str, controllers: tuple[str, ...]) -> str:
    """Where ``path`` is in the tree of these controllers."""
    first, *others = path.split("\n")
    for line in others:
        name, _, own = line.partition(":")
        if name in controllers:
            return own
    return first


def first_line(path: str) -> str:
    """The path for people to read."""
    return path.partition("\n")[0]


def _clean(path: str) -> str:
    """Lexically: an absolute path without ``.``, ``..`` and empty components."""
    return "/" + os.path.normpath(path).lstrip("/")
