"""What the verbs ask of the machine: its control groups, who we are, where our state is."""

from __future__ import annotations

import os

from wherry.linux.cgroups import CgroupError, open_hierarchy
from wherry.runtime.oci.errors import Failure, strerror
from wherry.runtime.oci.store import Container, Store
from wherry.runtime.oci.validate import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.arguments import Call


def store(call: Call) -> Store:
    """The store below ``--root``. Raises Failure."""
    root = call.settings.text("root")
    if not root:
        raise Failure("root not set")
    if not call.settings.given("root"):
        _claim(root)
    return Store(os.path.abspath(root))


def load(call: Call) -> tuple[Container, Cgroups]:
    """The container that the command is about, and the groups it lives in. Raises Failure."""
    container = store(call).load(call.id)
    return container, groups_of(container)


def groups_of(container: Container) -> Cgroups:
    """The control groups by the driver that the container was created with. Raises Failure."""
    return groups(systemd=container.record["systemd"])


def groups(*, systemd: bool) -> Cgroups:
    """Raises Failure."""
    try:
        return open_hierarchy(systemd=systemd)
    except CgroupError as error:
        raise Failure(str(error)) from error


def facts() -> Facts:
    """For ``validate``."""
    return Facts(
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
        rootless=os.geteuid() != 0,
        is_host_network=_is_host_network,
    )


def _is_host_network(path: str) -> bool:
    theirs, ours = os.stat(path), os.stat("/proc/self/ns/net")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _claim(root: str) -> None:
    """The default root in $XDG_RUNTIME_DIR: sticky, or it would be cleaned up (XDG base directory specification)."""
    if os.geteuid() != 0:
        try:
            os.makedirs(root, mode=0o700, exist_ok=True)
            os.chmod(root, 0o1700)
        except OSError as error:
            raise Failure(f"the path in $XDG_RUNTIME_DIR must be writable by the user: {strerror(error)}") from error
