"""``state``: what a container is at this moment, as JSON."""

from __future__ import annotations

from wherry.runtime.oci import gojson, machine, output, status
from wherry.runtime.oci.arguments import Call, Command
from wherry.runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.store import Container


def describe(container: Container, cgroups: Cgroups, owner: str = "") -> dict[str, Any]:
    """The fields that ``state`` and ``list`` show, in runc's order."""
    word = status.of(container, cgroups)
    shown: dict[str, Any] = {
        "ociVersion": VERSION,
        "id": container.id,
        "pid": 0 if word == status.STOPPED else container.pid,
        "status": word,
        "bundle": container.record["bundle"],
        "rootfs": container.record["rootfs"],
        "created": container.record["created"],
    }
    if annotations := container.config.get("annotations"):
        shown["annotations"] = dict(sorted(annotations.items()))
    return {**shown, "owner": owner}


def _state(call: Call) -> int:
    container, cgroups = machine.load(call)
    output.out(gojson.encode(describe(container, cgroups), "  "))
    return 0


COMMAND = Command(
    "state",
    _state,
    usage="output the state of a container",
    arguments='<container-id>\n\nWhere "<container-id>" is your name for the instance of the container.',
    description="The state command outputs current state information for the\ninstance of a container.",
)
