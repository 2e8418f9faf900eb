"""Real-time bandwidth of v1's cpu controller, for the groups above a container. Imports nothing but its room.

A new group has none, and no group has more than its parent, whose children share what it has. runc leaves the parents
to its caller; who asks for a container with real-time bandwidth wants the parents to have it.
"""

from __future__ import annotations

import os

from wherry.linux.cgroups import files


def grant(mountpoint: str, group: str, runtime: int, period: int) -> None:
    """Have the parents of ``group`` (a directory) share out enough for ``runtime`` of every ``period`` µs.

    The top has what the kernel lets real-time programs have at all. Raises OSError where that is not enough.
    """
    share = runtime / period
    needs = []
    child, directory = group, os.path.dirname(group)
    while len(directory) > len(mountpoint):
        share += sum(_share(other) for other in _children(directory) if other != child)
        share = max(share, _share(directory))
        needs.append((directory, share))
        child, directory = directory, os.path.dirname(directory)
    # From the top down: a child cannot have what its parent has not.
    for directory, needed in reversed(needs):
        if _share(directory) < needed:
            rounded_up = -(-needed * _number(directory, "cpu.rt_period_us") // 1)
            files.write(f"{directory}/cpu.rt_runtime_us", str(int(rounded_up)))


def _children(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _share(directory: str) -> float:
    return max(_number(directory, "cpu.rt_runtime_us"), 0) / (_number(directory, "cpu.rt_period_us") or 1)


def _number(directory: str, name: str) -> int:
    return int(files.read_or(f"{directory}/{name}", "0"))
