"""One hook program for all points: busybox's shell, which is at the same path on the host and in the container.

It writes what it sees to a folder of the host that is mounted at the same path in the container.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.bundle import BUSYBOX, Change, bind, mounts, top
from conformance.clauses import MUST, case

POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
ON_HOST = ("prestart", "createRuntime", "poststart", "poststop")
INSIDE = ("createContainer", "startContainer")
SECTIONS = {
    "prestart": "prestart",
    "createRuntime": "createruntime-hooks",
    "createContainer": "createcontainer-hooks",
    "startContainer": "startcontainer-hooks",
    "poststart": "poststart",
    "poststop": "poststop",
}
STATUS = {
    "prestart": "creating",
    "createRuntime": "creating",
    "createContainer": "creating",
    "startContainer": "created",
    "poststart": "running",
    "poststop": "stopped",
}
NAMESPACES = ("mnt", "pid", "uts", "ipc", "net")
REPORT = """
name=$1; folder=$2
cat > $folder/$name.state
env > $folder/$name.env
for kind in mnt pid uts ipc net; do readlink /proc/self/ns/$kind; done > $folder/$name.ns
test -e /only-in-the-container && echo pivoted > $folder/$name.root
echo $name >> $folder/order
"""


def hook(name: str, folder: Path, *, after: str = "") -> dict[str, Any]:
    """A hook that reports under ``name`` and then does something more."""
    words = ["sh", "-c", f"{REPORT}\n{after}", "sh", name, str(folder)]
    return {"path": str(BUSYBOX), "args": words, "env": [f"HOOK={name}", "PATH=/bin"]}


def at(point: str, says: str, *values: Any, id: str = "") -> Any:  # noqa: A002  pytest's word
    """A row of a parametrized test with a demand of a point's own section; the point itself unless ``values``."""
    return case(*(values or (point,)), where=f"config.md#{SECTIONS[point]}", level=MUST, says=says, id=id or point)


def hooks(**points: list[dict[str, Any]]) -> Change:
    """These hooks at these points."""
    return top(hooks=points)


def with_folder(folder: Path) -> Change:
    """The hooks' folder at its own path inside."""
    return mounts(bind(str(folder), folder))
