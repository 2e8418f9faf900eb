"""Where a rootless daemon keeps what it has: the XDG base directories, as rootless Docker does."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.daemon.userns_remap import parse_ranges
from wherry.lib.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Home:
    """The user, and the directories."""

    user: str
    uid: int
    gid: int
    data: Path
    """Survives reboots: images, volumes, state."""
    runtime: Path
    """Gone with the last login: sockets, bundles, namespaces."""

    @property
    def socket(self) -> str:
        """What DOCKER_HOST is to be."""
        return f"unix://{self.runtime.parent / 'wherry.sock'}"

    def defaults(self, given: list[str]) -> list[str]:
        """Wherryd's arguments: those ``given``, and ours for what they do not say."""
        flags = {word.partition("=")[0] for word in given}
        ours = {
            "--data-root": str(self.data),
            "--exec-root": str(self.runtime / "exec"),
            "--pidfile": str(self.runtime / "wherryd.pid"),
            "--host": self.socket,
            "--group": "0",  # the user's own, whatever groups the machine has
            "--rootless": str(self.runtime),
        }
        if "-H" in flags:
            del ours["--host"]
        return [*given, *(f"{flag}={value}" for flag, value in ours.items() if flag not in flags)]


def find_home(environment: Mapping[str, str]) -> Home:
    """By the environment and the passwd file. Raises InvalidArgument with what to do."""
    uid = os.getuid()
    if uid == 0:
        raise InvalidArgument("wherryd-rootless is for ordinary users: as root start wherryd")
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        raise InvalidArgument(f"uid {uid} has no entry in /etc/passwd") from None
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    if not os.access(runtime, os.W_OK):
        raise InvalidArgument(
            f"{runtime} is not a directory that {user.pw_name} can write to: log in through PAM and systemd-logind "
            "(`machinectl shell`, ssh), or set XDG_RUNTIME_DIR"
        )
    data = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME") or user.pw_dir) / ".local/share")
    return Home(user.pw_name, uid, os.getgid(), Path(data) / "wherry", Path(runtime) / "wherry")


def id_maps(home: Home, subuid: str, subgid: str) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """The namespace's uid and gid maps in the OCI's form: root is the user, the rest his subordinate ids.

    ``subuid`` and ``subgid`` are the contents of the two files in /etc. Raises InvalidArgument with what to do.
    """
    return (
        _map(home.uid, _ranges(subuid, home, "subuid")),
        _map(home.gid, _ranges(subgid, home, "subgid")),
    )


def _map(own: int, ranges: list[tuple[int, int]]) -> list[dict[str, int]]:
    maps = [{"containerID": 0, "hostID": own, "size": 1}]
    inside = 1
    for first, count in ranges:
        maps.append({"containerID": inside, "hostID": first, "size": count})
        inside += count
    return maps


def _ranges(text: str, home: Home, name: str) -> list[tuple[int, int]]:
    found = parse_ranges(text, (home.user, str(home.uid)))
    if not found:
        raise InvalidArgument(
            f"/etc/{name} gives {home.user} no ids: as root run `usermod --add-subuids 100000-165535 "
            f"--add-subgids 100000-165535 {home.user}`"
        )
    return found
