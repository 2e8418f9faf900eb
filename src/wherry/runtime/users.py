"""Who a container's program runs as: ``user[:group]`` against the container's own passwd and group files.

Pure, and light: imports nothing, because a zygote's child calls it. The files are the image's, so hostile: they are
bounded, a line that is not an entry is passed over, and an id that the kernel cannot hold is refused rather than cut
down to 32 bits.

The rules are Docker's:

* a number is always an id, never a name, even if an entry is *named* by that number;
* the first matching entry wins;
* a number without an entry is that uid with group 0; a name without an entry is refused;
* groups that list the user by name are supplementary, unless a group is asked for explicitly;
* the primary group is always among the supplementary ones (CVE-2022-36109);
* the home directory is that of the first entry with the resulting uid.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FILE = 1 << 20
"""Bytes of a passwd or group file; a longer one is refused, so a reader stops one byte further."""
MAX_ID = (1 << 31) - 1

_INT64 = 1 << 63


class UserError(Exception):
    """The user or group cannot be had; the message is Docker's."""


class Identity:
    """What the program's process becomes."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        """For setgroups(2): the primary group first, no group twice."""
        self.home = home
        """What HOME is when the environment has none; ``/`` without an entry."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Identity(uid={self.uid}, gid={self.gid}, groups={self.groups}, home={self.home!r})"

    def _values(self) -> tuple[int, int, tuple[int, ...], str]:
        return self.uid, self.gid, self.groups, self.home


def resolve(user: str, group_add: Sequence[str], passwd: bytes, group: bytes) -> Identity:
    """The identity that ``user`` (``name``, ``uid``, either with ``:group``; empty is uid 0) stands for.

    ``group_add`` are further groups by name or number; a file that does not exist is empty bytes. Raises UserError.
    """
    for name, data in (("passwd", passwd), ("group", group)):
        if len(data) > MAX_FILE:
            raise UserError(f"the container's {name} file is larger than {MAX_FILE} bytes")
    wanted_user, wanted_group = [*user.split(":"), ""][:2]
    name, uid, gid = _find_user(wanted_user, passwd)
    supplementary: list[int] = []
    if wanted_group:
        gid = _find_group(wanted_group, group)
    elif name:
        supplementary = [_check(number) for _, number, members in _groups(group) if name in members]
    supplementary += [_added_group(wanted, group) for wanted in group_add]
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *supplementary])), home(uid, passwd))


def _find_user(wanted: str, passwd: bytes) -> tuple[str, int, int]:
    """Name (empty without an entry), uid and gid."""
    number = _integer(wanted or "0")
    named = not _digits(wanted)
    for name, uid, gid, _ in _users(passwd):
        if (uid == number) if number is not None else (named and name == wanted):
            return name, _check(uid), _check(gid)
    if number is None:
        raise UserError(f"unable to find user {wanted}: no matching entries in passwd file")
    return "", _check(number), 0


def _find_group(wanted: str, group: bytes) -> int:
    number = _integer(wanted)
    if number is not None:
        return _check(number)
    for name, gid, _ in _groups(group):
        if name == wanted and not _digits(wanted):
            return _check(gid)
    raise UserError(f"unable to find group {wanted}: no matching entries in group file")


def _added_group(wanted: str, group: bytes) -> int:
    """As ``_find_group``, but ``--group-add`` looks for a name first, even if it reads as a number."""
    for name, gid, _ in _groups(group):
        if wanted in (name, str(gid)):
            return _check(gid)
    number = _integer(wanted)
    if number is None:
        raise UserError(f"Unable to find group {wanted}: no matching entries in group file")
    return _check(number)


def home(uid: int, passwd: bytes) -> str:
    """The home directory of the first entry with this uid; ``/`` without one, or when it names none."""
    return next((directory for _, entry, _, directory in _users(passwd) if entry == uid), "") or "/"


def _users(passwd: bytes) -> Iterator[tuple[str, int, int, str]]:
    """Name, uid, gid and home of each entry whose uid is a number."""
    for fields in _lines(passwd):
        uid = _integer(fields[2]) if len(fields) > 2 else None
        if uid is not None:
            gid = _integer(fields[3]) if len(fields) > 3 else None
            yield fields[0], uid, gid or 0, fields[5] if len(fields) > 5 else ""


def _groups(group: bytes) -> Iterator[tuple[str, int, list[str]]]:
    """Name, gid and members of each entry whose gid is a number."""
    for fields in _lines(group):
        gid = _integer(fields[2]) if len(fields) > 2 else None
        if gid is not None:
            yield fields[0], gid, fields[3].split(",") if len(fields) > 3 else []


def _lines(data: bytes) -> Iterator[list[str]]:
    for line in data.split(b"\n"):
        stripped = line.strip()
        if stripped:
            # Not all files are UTF-8; this error handler is built into the interpreter, nothing is imported for it.
            yield [field.decode("utf-8", "surrogateescape") for field in stripped.split(b":")]


def _integer(text: str) -> int | None:
    """A decimal number of 64 bits, as Go's Atoi reads it, else None."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or len(digits) > 19 or not digits.isascii() or not digits.isdigit():
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None


def _digits(text: str) -> bool:
    """Whether it was meant as a number, however large: that is never a name (CVE-2026-46680)."""
    return text[text[:1] in ("+", "-") :].isdecimal()


def _check(number: int) -> int:
    if not 0 <= number <= MAX_ID:
        raise UserError(f"uids and gids must be in range 0-{MAX_ID}")
    return number
