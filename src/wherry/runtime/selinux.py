"""SELinux labels of a container: the policy's own for containers, with categories that no other container has. Pure.

The process gets ``process_label``, what is mounted for it alone ``mount_label``. A label is user:role:type:level.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.lib.errors import InvalidArgument, Unavailable

_FIELDS = ("user", "role", "type", "level")
_OPTIONS = ("disable", "user", "role", "level", "type", "filetype")
_CATEGORIES = 1024
_CONFIG = Path("/etc/selinux/config")


@dataclass(frozen=True, slots=True)
class Labels:
    """Both empty where there is no SELinux."""

    process: str = ""
    mount: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the loaded policy says of containers (its ``lxc_contexts``)."""

    process: str
    file: str


def read_policy(root: Path = Path("/etc/selinux")) -> Policy:
    """The machine's policy. Raises OSError where it says nothing of containers."""
    values = _pairs((root / _CONFIG.name).read_text())
    contexts = _pairs((root / values.get("SELINUXTYPE", "targeted") / "contexts" / "lxc_contexts").read_text())
    return Policy(process=contexts.get("process", ""), file=contexts.get("file", ""))


def labels(policy: Policy, options: Sequence[str], taken: Collection[str]) -> Labels:
    """The labels of a new container; ``taken`` are the mount labels of the others.

    Raises InvalidArgument in the words of Docker, Unavailable when every pair of categories is taken.
    """
    level = _free_level(policy.process, {_split(label)["level"] for label in taken if label})
    process, mount = _split(policy.process) | {"level": level}, _split(policy.file) | {"level": level}
    for option in options:
        if option == "disable":
            return Labels(mount=_join(mount | {"level": f"s0:c{_CATEGORIES - 2},c{_CATEGORIES - 1}"}))
        name, found, value = option.partition(":")
        if not found:
            raise InvalidArgument(
                f"Bad label option \"{option}\", valid options 'disable' or \n"
                "'user, role, level, type, filetype' followed by ':' and a value"
            )
        if name not in _OPTIONS:
            raise InvalidArgument(f"Bad label option \"{name}\", valid options '{', '.join(_OPTIONS)}'")
        if name == "filetype":
            mount["type"] = value
            continue
        process[name] = value
        if name in ("level", "user"):
            mount[name] = value
    return Labels(process=_join(process), mount=_join(mount))


def enabled() -> bool:
    """Whether the kernel enforces or watches a policy."""
    return os.path.exists("/sys/fs/selinux/enforce")


def _free_level(base: str, taken: set[str]) -> str:
    sensitivity = _split(base)["level"].partition(":")[0] or "s0"
    for _ in range(10_000):
        low, high = sorted(secrets.randbelow(_CATEGORIES - 2) for _ in range(2))
        level = f"{sensitivity}:c{low},c{high}"
        if low != high and level not in taken:
            return level
    raise Unavailable("no SELinux categories are left for another container")


def _split(label: str) -> dict[str, str]:
    return dict(zip(_FIELDS, [*label.split(":", 3), "", "", "", ""], strict=False))


def _join(fields: dict[str, str]) -> str:
    return ":".join(fields[name] for name in _FIELDS)


def _pairs(text: str) -> dict[str, str]:
    """``name = "value"`` lines."""
    found = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip('"') for name, _, value in found}
