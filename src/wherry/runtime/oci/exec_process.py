"""The process of an exec that the command line describes: the container's own, changed. Pure."""

from __future__ import annotations

from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.report import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.runtime.oci.arguments import Options

    Json = dict[str, Any]

_ADDED_TO = ("bounding", "effective", "permitted", "ambient")

_NO_ID = 0xFFFFFFFF
"""(uid_t)-1, which stands for no change."""


def of_flags(base: Json, options: Options, arguments: list[str]) -> Json:
    """``base`` is the container's ``process``; it stays as it is. Raises Failure."""
    if not arguments:
        raise Failure("process args cannot be empty")
    process = {**base, "args": arguments, "terminal": options.flag("tty")}
    for name, key in (("cwd", "cwd"), ("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel")):
        if text := options.text(name):
            process[key] = text
    if names := options.texts("cap"):
        given = base.get("capabilities") or {}
        added = {key: [*(given.get(key) or ()), *names] for key in _ADDED_TO}
        process["capabilities"] = {**given, **added}
    process["env"] = [*(base.get("env") or ()), *options.texts("env")]
    if options.given("no-new-privs"):
        process["noNewPrivileges"] = options.flag("no-new-privs")
    process["user"] = _user(base.get("user") or {}, options)
    return process


def _user(base: Json, options: Options) -> Json:
    user = dict(base)
    if text := options.text("user"):
        uid, colon, gid = text.partition(":")
        if colon:
            user["gid"] = _id(gid, "gid")
        user["uid"] = _id(uid, "uid")
    groups = list(user.get("additionalGids") or ())
    for number in options.numbers("additional-gids"):
        if number < 0:
            raise Failure(f"additional-gids must be a positive number {number}")
        groups.append(number)
    if groups:
        user["additionalGids"] = groups
    return user


def _id(text: str, name: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdecimal()):
        reason = f"strconv.Atoi: parsing {quote(text)}: invalid syntax"
        raise Failure(f"parsing {text} as int for {name} failed: {reason}")
    number = int(text)
    # runc cuts it down to 32 bits: 4294967296 would be root (cf. CVE-2024-40635).
    if not 0 <= number < _NO_ID:
        raise Failure(f"{name} must be in range 0-{_NO_ID - 1}: {text}")
    return number
