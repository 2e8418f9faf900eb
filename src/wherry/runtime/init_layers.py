"""Mounting a container's layers: the overlay, or the one directory, that becomes its root.

All of it in a mount namespace of its own that the host's user namespace owns, before anything of the container runs.
"""

from __future__ import annotations

import os

from wherry.linux import mounts, namespaces, process
from wherry.linux.mounts import MS_BIND, MS_PRIVATE, MS_REC, MS_SLAVE
from wherry.runtime.init_errors import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OPTIONS_LIMIT = 4095  # mount(2) copies one page


def detach_from_host() -> None:
    """Keep our mounts from reaching the host; what is unmounted there still goes away here."""
    mounts.mount(None, "/", None, MS_SLAVE | MS_REC)


def mount_overlay(layers: dict[str, Any], target: str, *, user_namespace: int = -1) -> int:
    """Mount ``layers`` (``lower``, ``upper``, ``work``) on the directory ``target``; a descriptor of the mount.

    Their files show the ids that ``user_namespace`` (a descriptor) maps them to. Raises StartError.
    """
    with Step("error preparing rootfs: mount"):
        os.makedirs(target, mode=0o700, exist_ok=True)
        if user_namespace >= 0:
            _mount_mapped(layers, target, user_namespace)
        else:
            _mount_overlay(layers, target)
        return os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def mount_root(layers: dict[str, Any], target: str, *, user_namespace: int = -1) -> int:
    """``mount_overlay``, or without an ``upper`` the one ``lower`` bound on ``target``. Raises StartError."""
    if layers["upper"]:
        return mount_overlay(layers, target, user_namespace=user_namespace)
    with Step("error preparing rootfs: mount"):
        os.makedirs(target, mode=0o700, exist_ok=True)
        _bind(layers["lower"][0], target, user_namespace)
        return os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def mount_directory(directory: str, *, private: bool, user_namespace: int = -1) -> int:
    """Make ``directory`` a mount of its own, on itself; a descriptor of it. Raises StartError.

    ``private`` unless it is to go on receiving what is mounted below its place on the host. Its files show the ids that
    ``user_namespace`` (a descriptor) maps them to.
    """
    with Step("error preparing rootfs: mount"):
        _bind(directory, directory, user_namespace)
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if private:
            mounts.mount_setattr(fd, propagation=MS_PRIVATE)
        return fd


def _bind(source: str, target: str, user_namespace: int) -> None:
    if user_namespace < 0:
        mounts.mount(source, target, None, MS_BIND | MS_REC)
        return
    tree, place = mounts.open_tree(source), os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts.idmap(tree, user_namespace)
    mounts.move_mount(tree, place)
    os.close(tree)
    os.close(place)


def lift(root: int) -> int:
    """A detached copy of the mounted root, to be put down in another mount namespace."""
    with Step("error preparing rootfs: open_tree"):
        tree = mounts.open_tree("", directory=root, recursive=True)
        mounts.mount_setattr(tree, propagation=MS_PRIVATE, recursive=True)
    return tree


def put_down(tree: int) -> None:
    """Attach a lifted root on top of "/": everybody can reach that, whatever the directory's own path allows."""
    with Step("error preparing rootfs: move_mount"):
        top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.move_mount(tree, top)
        os.close(top)


def overlay_options(lower: list[str], upper: str, work: str) -> str:
    """The data of an overlay mount(2); a colon, comma or backslash in a name is escaped."""
    names = [":".join(_escape(name) for name in lower), _escape(upper), _escape(work)]
    options = "lowerdir={},upperdir={},workdir={}".format(*names)
    # Only the first user namespace's root has the trusted.* attributes that overlayfs keeps its notes in.
    return f"userxattr,{options}" if namespaces.IN_USER_NAMESPACE else options


def _mount_overlay(layers: dict[str, Any], target: str) -> None:
    directories = [*layers["lower"], layers["upper"], layers["work"]]
    common = os.path.commonpath(directories)
    options = overlay_options(
        [os.path.relpath(path, common) for path in layers["lower"]],
        os.path.relpath(layers["upper"], common),
        os.path.relpath(layers["work"], common),
    )
    fds: list[int] = []
    if len(options) > _OPTIONS_LIMIT:
        # Too many layers for a page of names: name them by descriptor, three characters each.
        fds = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in directories]
        common = "/proc/self/fd"
        options = overlay_options([str(fd) for fd in fds[:-2]], str(fds[-2]), str(fds[-1]))
    os.chdir(common)
    mounts.mount("overlay", target, "overlay", 0, options)
    os.chdir("/")
    for fd in fds:
        os.close(fd)


def _mount_mapped(layers: dict[str, Any], target: str, user_namespace: int) -> None:
    """An overlay over idmapped mounts of its layers (Linux 5.19), which stand in a tmpfs that the overlay then covers.

    The kernel wants attached mounts, and upper and work on the same one: so their common parent is what is mapped.
    """
    top = os.path.commonpath([layers["upper"], layers["work"]])
    sources = [*layers["lower"], top]
    mounts.mount("tmpfs", target, "tmpfs", 0, "mode=700")
    os.chdir(target)
    for number, source in enumerate(sources):
        os.mkdir(str(number), 0o700)
        _bind(source, str(number), user_namespace)
    writable = str(len(layers["lower"]))
    options = overlay_options(
        [str(number) for number in range(len(layers["lower"]))],
        f"{writable}/{os.path.relpath(layers['upper'], top)}",
        f"{writable}/{os.path.relpath(layers['work'], top)}",
    )
    # The overlay makes its own files (whiteouts, copies under way) as whoever mounts it: that must be somebody whom the
    # layers' maps know, and still somebody who may do everything (else EOVERFLOW, and a read-only overlay).
    owner = os.stat(f"{writable}/{os.path.relpath(layers['work'], top)}")
    process.set_fs_ids(owner.st_uid, owner.st_gid)
    mounts.mount("overlay", target, "overlay", 0, options)
    process.set_fs_ids(0, 0)
    os.chdir("/")


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
