"""``list``: all containers below the root."""

from __future__ import annotations

import os

from wherry.runtime.oci import gojson, machine, output
from wherry.runtime.oci.arguments import Call, Command, Flag
from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.state import describe
from wherry.runtime.oci.table import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.runtime.oci.store import Store

_HEAD = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
_FIELDS = ("id", "pid", "status", "bundle", "created", "owner")


def _list(call: Call) -> int:
    found = _describe_all(machine.store(call))
    kind = call.options.text("format")
    if call.options.flag("quiet"):
        output.out("".join(f"{item['id']}\n" for item in found))
    elif kind == "table":
        rows = [tuple(str(item[field]) for field in _FIELDS) for item in found]
        output.out(table([_HEAD, *rows]))
    elif kind == "json":
        output.out(gojson.encode(found or None) + "\n")
    else:
        raise Failure("invalid format option")
    return 0


def _describe_all(store: Store) -> list[dict[str, Any]]:
    found = []
    for name in store.ids():
        try:
            container = store.load(name)
            owner = _owner(os.stat(container.directory).st_uid)
            found.append(describe(container, machine.groups_of(container), owner))
        except FileNotFoundError:
            continue  # it has gone meanwhile
        except Failure as error:
            output.err(f"load container {name}: {error}\n")
    return found


def _owner(uid: int) -> str:
    import pwd  # noqa: PLC0415  asks NSS: only for this

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


COMMAND = Command(
    "list",
    _list,
    usage="lists containers started by wherry-oci with the given root",
    arguments="""

Where the given root is specified via the global option "--root"
(default: "/run/wherry-oci").

EXAMPLE 1:
To list containers created via the default "--root":
       # wherry-oci list

EXAMPLE 2:
To list containers created using a non-default value for "--root":
       # wherry-oci --root value list""",
    flags=(
        Flag("format, f", "select one of: table or json", default="table"),
        Flag("quiet, q", "display only container IDs", "bool"),
    ),
    least=0,
    most=0,
)
