"""Network namespaces, made and visited by the zygote: it has one thread, so entering one needs no fork.

A namespace lives as a bind mount of its nsfs file at a path, as ``ip netns`` does it, until ``drop``.
"""

from __future__ import annotations

import _socket
import os

from wherry.linux import mounts, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN = "/proc/thread-self/ns/net"
_NETLINK_ROUTE = 0


class Lost(BaseException):
    """The zygote could not come back from a foreign namespace: it must end, and the daemon starts another."""


def visit(path: str, *, create: bool, sysctls: Mapping[str, str]) -> tuple[int, int]:
    """Enter the namespace at ``path`` (a new one with ``create``), set ``sysctls``, open a NETLINK_ROUTE socket, return
    home.

    The result is (namespace, socket), the caller's to close. On failure a namespace made here is gone again.
    Raises OSError.
    """
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            return _inside(path, create=create, sysctls=sysctls)
        finally:
            _return(home)
    finally:
        os.close(home)


def drop(path: str) -> None:
    """Unmount and unlink; gone already is no error. The namespace ends with its last process. Raises OSError."""
    try:
        mounts.unmount(path, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
    except FileNotFoundError:
        return
    except OSError:
        if os.path.ismount(path):
            raise
    os.unlink(path)


def _inside(path: str, *, create: bool, sysctls: Mapping[str, str]) -> tuple[int, int]:
    if create:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
        try:
            namespaces.unshare(namespaces.CLONE_NEWNET)
            mounts.mount(_OWN, path, None, mounts.MS_BIND)
            return _open(sysctls)
        except OSError:
            drop(path)
            raise
    target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(target, namespaces.CLONE_NEWNET)
    finally:
        os.close(target)
    return _open(sysctls)


def _open(sysctls: Mapping[str, str]) -> tuple[int, int]:
    for name, value in sysctls.items():
        # The network part of /proc/sys shows the namespace of whoever opens it.
        fd = os.open("/proc/sys/" + name.replace(".", "/"), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    route = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    try:
        return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC), route.detach()
    except OSError:
        route.close()
        raise


def _return(home: int) -> None:
    try:
        namespaces.setns(home, namespaces.CLONE_NEWNET)
    except OSError as error:
        raise Lost(str(error)) from error
