"""Network namespaces, made and visited by the zygote: it has one thread, so entering one needs no fork.

A namespace lives as a bind mount of its nsfs file at a path, as ``ip netns`` does it, until ``drop``.
"""

from __future__ import annotations

import _socket
import errno
import os

from wherry.linux import mounts, namespaces, process, signals
from wherry.runtime import init_userns
from wherry.runtime.init_errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.runtime.init_userns import Mappings

USER_SUFFIX = ".user"
"""Beside a namespace that belongs to a user namespace of its own: that one, mounted likewise."""
_OWN = "/proc/thread-self/ns/net"
_NETLINK_ROUTE = 0


class Lost(BaseException):
    """The zygote could not come back from a foreign namespace: it must end, and the daemon starts another."""


def visit(
    path: str, *, create: bool, sysctls: Mapping[str, str], user: str | tuple[Mappings, Mappings] | None = None
) -> tuple[int, int]:
    """Enter the namespace at ``path`` (a new one with ``create``), set ``sysctls``, open a NETLINK_ROUTE socket, return
    home.

    A new one belongs to the user namespace ``user``: one at a path, or a new one with these maps (of uids and gids),
    whose root may then do in it what only an owner may; it is kept at ``path.user``. The result is (namespace, socket),
    the caller's to close. On failure a namespace made here is gone again. Raises OSError.
    """
    if create and user is not None:
        _make_owned(path, user)
        try:
            return visit(path, create=False, sysctls=sysctls)
        except OSError:
            drop(path)
            raise
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
    for place in (path, path + USER_SUFFIX):
        _drop(place)


def _drop(path: str) -> None:
    try:
        mounts.unmount(path, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
    except FileNotFoundError:
        return
    except OSError:
        if os.path.ismount(path):
            raise
    os.unlink(path)


def _make_owned(path: str, user: str | tuple[Mappings, Mappings]) -> None:
    """A network namespace in a user namespace, both mounted.

    A child makes them: we do not reap, and it has to. Raises OSError.
    """
    done, tell = os.pipe2(os.O_CLOEXEC)
    if os.fork() == 0:
        failure = ""
        try:
            os.close(done)
            signals.handle(signals.SIGCHLD, signals.DEFAULT)
            _mount_owned(path, user)
        except (OSError, StartError) as error:
            failure = str(error) or type(error).__name__
        finally:
            os.write(tell, failure.encode("utf-8", "replace"))
            os._exit(0)
    os.close(tell)
    failure = os.read(done, 4096).decode("utf-8", "replace")
    os.close(done)
    if failure:
        raise OSError(errno.EINVAL, failure)


def _mount_owned(path: str, owner: str | tuple[Mappings, Mappings]) -> None:
    user = os.open(owner, os.O_RDONLY | os.O_CLOEXEC) if isinstance(owner, str) else init_userns.make(*owner)
    try:
        pid, done = _child_inside(user)
        try:
            _check_made(done, path)
            _keep(f"/proc/{pid}/ns/net", path)
            _keep(f"/proc/{pid}/ns/user", path + USER_SUFFIX)
        except OSError:
            drop(path)
            raise
        finally:
            os.close(done)
            os.kill(pid, signals.SIGKILL)
            os.waitpid(pid, 0)
    finally:
        os.close(user)


def _check_made(done: int, path: str) -> None:
    number = int(os.read(done, 16) or b"0")
    if number:
        raise OSError(number, os.strerror(number), path)


def _child_inside(user: int) -> tuple[int, int]:
    """A process in a new network namespace of ``user``, and a pipe on which it says its errno, 0 for none.

    One more child, because nobody comes back from a user namespace.
    """
    done, tell = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        number = 0
        try:
            namespaces.setns(user, namespaces.CLONE_NEWUSER)
            namespaces.unshare(namespaces.CLONE_NEWNET)
        except OSError as error:
            number = error.errno or errno.EINVAL
        os.write(tell, b"%d" % number)
        process.set_death_signal(signals.SIGKILL)
        signals.wait(signals.block_all())
        os._exit(0)
    os.close(tell)
    return pid, done


def _keep(namespace: str, path: str) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    mounts.mount(namespace, path, None, mounts.MS_BIND)


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
