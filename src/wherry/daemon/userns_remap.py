"""``--userns-remap``: whose subordinate ids the containers' users become, and the data root that belongs to them.

    <data-root>/<uid>.<gid>/      0710 root:<gid>, the whole state of the daemons that remap to these ids

The layers in it keep the ids that their images give them: they are mounted with the container's ids (``OverlayRoot``).
"""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wherry.lib.errors import InvalidArgument, Unavailable
from wherry.runtime.id_maps import NO_MAPS, IdMaps, IdRange

DEFAULT = "default"
DEFAULT_USER = "dockremap"
"""Docker's, so that both daemons map to the same ids."""
_LONGEST_FILE = 1 << 20
_LARGEST_ID = (1 << 32) - 2
_RANGE = 65536
_FIRST = 100_000
_TOOL_TIMEOUT = 30

_log = logging.getLogger(__name__)


def load_maps(setting: str, *, etc: Path = Path("/etc")) -> IdMaps:
    """The maps that the setting asks for: ``default``, ``user``, ``user:group``, ``uid`` or ``uid:gid``.

    With ``default`` the user is made when it is missing. Raises InvalidArgument in dockerd's words, Unavailable.
    """
    if not setting:
        return NO_MAPS
    user = _user(setting)
    if user.pw_name == "root":
        _log.warning("User namespaces: root cannot be remapped with itself; user namespaces are OFF")
        return NO_MAPS
    _log.info("User namespaces: ID ranges will be mapped to subuid/subgid ranges of: %s", user.pw_name)
    return IdMaps(uids=_ranges(etc / "subuid", user), gids=_ranges(etc / "subgid", user))


def own_root(data_root: Path, maps: IdMaps) -> Path:
    """The part of ``data_root`` that belongs to these ids, made when it is missing. Raises OSError."""
    if not maps:
        return data_root
    uid, gid = maps.root
    own = data_root / f"{uid}.{gid}"
    for directory in (data_root, own):
        directory.mkdir(mode=0o710, parents=True, exist_ok=True)
        os.chown(directory, 0, gid)
        directory.chmod(0o710)
    return own


def parse_ranges(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """First id and count of each line ``name:first:count`` of one of ``names``; what is no such line is skipped."""
    found = []
    for line in text.splitlines():
        fields = line.split("#", 1)[0].strip().split(":")
        if len(fields) != 3 or (names and fields[0] not in names):
            continue
        with contextlib.suppress(ValueError):
            first, count = int(fields[1]), int(fields[2])
            if first >= 0 and count > 0 and first + count - 1 <= _LARGEST_ID:
                found.append((first, count))
    return found


def next_free(taken: Sequence[tuple[int, int]]) -> int:
    """Where a range of 65536 ids fits behind those that are ``taken``."""
    start = _FIRST
    for first, count in sorted(taken):
        if start < first + count and first < start + _RANGE:
            start = first + count
    return start


def _user(setting: str) -> pwd.struct_passwd:
    names = setting.split(":")
    if len(names) > 2:
        raise InvalidArgument(f'Invalid user/group specification in --userns-remap: "{setting}"')
    user = _find_user(names[0])
    if len(names) == 2:
        _find_group(names[1], "groupname")
    elif names[0].isdecimal():
        _find_group(names[0], "gid")
    elif names[0] != DEFAULT:
        _find_group(user.pw_name, "gid")
    return user


def _find_user(name: str) -> pwd.struct_passwd:
    try:
        if name.isdecimal():
            return pwd.getpwuid(int(name))
        return pwd.getpwnam(DEFAULT_USER if name == DEFAULT else name)
    except (KeyError, OverflowError):
        if name.isdecimal():
            raise InvalidArgument(f"Uid {name} has no entry in /etc/passwd") from None
        if name != DEFAULT:
            raise InvalidArgument(f'Error during uid lookup for "{name}": no such user') from None
    _make_user(DEFAULT_USER)
    return pwd.getpwnam(DEFAULT_USER)


def _find_group(name: str, what: str) -> None:
    try:
        grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name)
    except (KeyError, OverflowError):
        if name.isdecimal():
            raise InvalidArgument(f"Gid {name} has no entry in /etc/group") from None
        raise InvalidArgument(f'Error during {what} lookup for "{name}": no such group') from None


def _ranges(path: Path, user: pwd.struct_passwd) -> tuple[IdRange, ...]:
    found = parse_ranges(_read(path), (user.pw_name, str(user.pw_uid)))
    if not found:
        raise InvalidArgument(f'Can\'t create ID mappings: no {path.name} ranges found for user "{user.pw_name}"')
    ranges = []
    inside = 0
    for first, count in found:
        ranges.append(IdRange(inside, first, count))
        inside += count
    return tuple(ranges)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode(errors="replace")
    except OSError as error:
        raise InvalidArgument(f"Can't create ID mappings: open {path}: {(error.strerror or '').lower()}") from None


def _make_user(name: str) -> None:
    """A system user without a login, whose subordinate ids belong to nobody else. Raises Unavailable."""
    _tool("useradd", "--system", "--no-create-home", "--user-group", "--shell", "/bin/false", name)
    for path, option in ((Path("/etc/subuid"), "-v"), (Path("/etc/subgid"), "-w")):
        text = _read(path) if path.exists() else ""
        if not parse_ranges(text, (name,)):
            start = next_free(parse_ranges(text, ()))
            _tool("usermod", option, f"{start}-{start + _RANGE - 1}", name)


def _tool(*argv: str) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_TOOL_TIMEOUT)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f'Error during "{DEFAULT_USER}" user creation: {argv[0]}: {error.stderr.strip()}') from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f'Error during "{DEFAULT_USER}" user creation: {error}') from None
