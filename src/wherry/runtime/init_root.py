"""A container's root file system, put together in its own mount namespace, before anything of the container runs.

Every target is a descriptor below the root's descriptor (``linux.paths``): what an image or a shared volume holds there
cannot lead a mount elsewhere (S3). All of it happens before pivot_root(2), while /proc is still the host's.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux import mounts, paths
from wherry.linux.mounts import MS_PRIVATE, MS_RDONLY, MS_REC, MS_SLAVE
from wherry.runtime.init_errors import StartError, Step, from_errno
from wherry.runtime.init_mounts import BIND, CGROUP, Mount, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.linux.cgroups.base import Cgroups

_OPTIONS_LIMIT = 4095  # mount(2) copies one page
_NULL = os.makedev(1, 3)

# The devices that every container has (runtime-spec, config-linux, default devices).
DEVICES = tuple(
    {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor}
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)


class Root:
    """The root under construction."""

    def __init__(self, spec: dict[str, Any], cgroups: Cgroups | None, *, user_namespace: bool = False) -> None:
        self._user_namespace = user_namespace
        self._linux: dict[str, Any] = spec.get("linux") or {}
        self._cgroups = cgroups
        self._cgroup_path: str = self._linux.get("cgroupsPath") or ""
        self._read_only = bool((spec.get("root") or {}).get("readonly"))
        self._sources: dict[int, int] = {}
        self._late: list[int] = []
        self._deferred: list[int] = []
        self.fd = -1
        """The top of the container's file system, once ``mount_root`` has run."""
        try:
            self.mounts = [parse(entry) for entry in spec.get("mounts") or ()]
        except ValueError as error:
            raise StartError(f"error mounting to rootfs: {error}") from None
        self.own_dev = not any(mount.target == "/dev" and mount.kind == BIND for mount in self.mounts)

    def clone_sources(self, userns_fd_of: Any = None) -> None:
        """Take hold of what is to be bind-mounted.

        Before our mounts are cut off from the host's: ``shared`` and ``slave`` need something to be shared with.
        """
        for index, mount in enumerate(self.mounts):
            if mount.kind == BIND:
                with Step(f'error mounting "{mount.source}" to rootfs at "{mount.target}": stat {mount.source}'):
                    self._sources[index] = mounts.open_tree(mount.source, recursive=bool(mount.flags & MS_REC))

    def mount_root(self, layers: dict[str, Any], target: str) -> None:
        """Mount the overlay on the directory ``target``."""
        with Step("error preparing rootfs: mount"):
            os.makedirs(target, mode=0o700, exist_ok=True)
            if layers["upper"]:
                _mount_overlay(layers, target)
            else:
                mounts.mount(layers["lower"][0], target, None, mounts.MS_BIND | MS_REC)
            self.fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def populate(self) -> None:
        """Everything inside, in the order of config.json, but for the cgroups and what is mounted below them."""
        for index, mount in enumerate(self.mounts):
            if mount.kind == CGROUP or any(mount.below(self.mounts[other]) for other in self._deferred):
                self._deferred.append(index)
            else:
                self._mount(index, mount)
        if self.own_dev:
            self._make_devices()

    def populate_cgroups(self) -> None:
        """The rest: once the container's cgroup has been made."""
        for index in self._deferred:
            self._mount(index, self.mounts[index])

    def seal(self) -> None:
        """What the program may not see or write: after all that had to be made there has been made."""
        for path in self._linux.get("readonlyPaths") or ():
            with Step(f'error making "{path}" read-only'):
                self._make_read_only(path)
        null = self._open_null()
        for path in self._linux.get("maskedPaths") or ():
            with Step(f'can\'t mask path "{path}"'):
                self._mask(path, null)
        os.close(null)
        with Step("error making rootfs read-only"):
            for tree in self._late:
                mounts.mount_setattr(tree, attributes=mounts.MOUNT_ATTR_RDONLY)
            if self._read_only:
                mounts.mount_setattr(self.fd, attributes=mounts.MOUNT_ATTR_RDONLY)

    def pivot(self, *, no_pivot: bool = False) -> None:
        """Make it our root and let go of the old one."""
        with Step("error jailing process inside rootfs"):
            old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            os.fchdir(self.fd)
            # The old root ends up stacked on the new one's "." (pivot_root(2), NOTES): no directory is made for it.
            mounts.pivot_root(".", ".")
            os.fchdir(old)
            # The unmount below must not travel back to the host.
            mounts.mount(None, ".", None, MS_SLAVE | MS_REC)
            mounts.unmount(".", mounts.MNT_DETACH)
            os.chdir("/")
            os.close(old)
            os.close(self.fd)
            self.fd = -1
            wanted = mounts.PROPAGATION.get(self._linux.get("rootfsPropagation", "").removeprefix("r"))
            if wanted is not None:
                mounts.mount(None, "/", None, wanted | (MS_REC if self._linux["rootfsPropagation"][0] == "r" else 0))

    def bind_console(self, replica: int) -> None:
        """Mount the terminal ``replica`` on /dev/console."""
        with Step("error mounting the terminal on /dev/console"):
            target = paths.make_in(self.fd, "/dev/console", directory=False, mode=0o600)
            tree = mounts.open_tree("", directory=replica)
            mounts.move_mount(tree, target)
            os.close(tree)
            os.close(target)

    def _mount(self, index: int, mount: Mount) -> None:
        if mount.kind == BIND:
            self._bind(mount, self._sources.pop(index))
        elif mount.kind == CGROUP:
            self._mount_cgroups(mount)
        else:
            self._mount_filesystem(mount)

    def _bind(self, mount: Mount, tree: int) -> None:
        with Step(
            f'error mounting "{mount.source}" to rootfs at "{mount.target}": mount {mount.source}:{mount.target}'
        ):
            if mount.target == "/proc" and mounts.magic(tree) != mounts.PROC_MAGIC:
                raise StartError('"/proc" cannot be mounted because it is not of type proc')
            target = paths.make_in(self.fd, mount.target, directory=stat.S_ISDIR(os.fstat(tree).st_mode))
            if mount.recursive_attributes != (0, 0):
                attributes, clear = mount.recursive_attributes
                mounts.mount_setattr(tree, attributes=attributes, clear=clear, recursive=True)
            if mount.attributes != (0, 0):
                mounts.mount_setattr(tree, attributes=mount.attributes[0], clear=mount.attributes[1])
            # A clone of a shared mount is its peer; unless something else is asked for, it shall not be.
            for propagation in mount.propagation or [MS_PRIVATE | MS_REC]:
                recursive = bool(propagation & MS_REC)
                mounts.mount_setattr(tree, propagation=propagation & ~MS_REC, recursive=recursive)
            mounts.move_mount(tree, target)
            os.close(target)
            os.close(tree)

    def _mount_filesystem(self, mount: Mount) -> None:
        text = f'error mounting "{mount.source}" to rootfs at "{mount.target}"'
        with Step(text):
            flags, data = mount.flags, mount.data
            if mount.fstype == "tmpfs" and not any(option.startswith("mode=") for option in data):
                data = [*self._mode_there(mount.target), *data]
            target = self._directory(mount)
            if mount.target == "/dev" and flags & MS_RDONLY:
                flags &= ~MS_RDONLY  # the devices come first
            mounts.mount_at(mount.source, target, mount.fstype, flags, ",".join(data) or None)
            os.close(target)
            if flags == mount.flags and not mount.propagation:
                return
            tree = paths.open_in(self.fd, mount.target)
            for propagation in mount.propagation:
                mounts.mount_setattr(tree, propagation=propagation & ~MS_REC, recursive=bool(propagation & MS_REC))
            if flags != mount.flags:
                self._late.append(tree)
            else:
                os.close(tree)

    def _mode_there(self, path: str) -> list[str]:
        """A tmpfs has the mode of the directory that it covers, and the kernel's default (1777) where there is none."""
        try:
            fd = paths.open_in(self.fd, path)
        except FileNotFoundError:
            return []
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        os.close(fd)
        return [f"mode={mode:04o}"]

    def _directory(self, mount: Mount) -> int:
        """Where to mount; the kernel's own file systems only on a plain directory (CVE-2019-19921, CVE-2023-27561)."""
        if mount.fstype not in ("proc", "sysfs"):
            return paths.make_in(self.fd, mount.target, directory=True)
        os.close(paths.make_in(self.fd, mount.target, directory=True))
        try:
            target = paths.open_in(self.fd, mount.target, os.O_PATH | os.O_DIRECTORY, links=False)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise StartError(f"filesystem {mount.fstype!r} must be mounted on ordinary directory") from None
            raise
        return target

    def _mount_cgroups(self, mount: Mount) -> None:
        """The container's own groups, as bind mounts of the host's directories: the same view on v1 and v2."""
        if self._cgroups is None or not self._cgroup_path:
            return
        with Step(f'error mounting "cgroup" to rootfs at "{mount.target}"'):
            target = paths.make_in(self.fd, mount.target, directory=True)
            hierarchies = self._cgroups.hierarchies
            if len(hierarchies) == 1 and hierarchies[0].unified:
                self._attach_cgroup(hierarchies[0].at(self._cgroup_path), target, mount)
                return
            mounts.mount_at("tmpfs", target, "tmpfs", mount.flags & ~MS_RDONLY, "mode=755")
            os.close(target)
            top = paths.open_in(self.fd, mount.target)
            for hierarchy in hierarchies:
                os.mkdir(hierarchy.name, 0o755, dir_fd=top)
                directory = os.open(hierarchy.name, os.O_PATH | os.O_CLOEXEC, dir_fd=top)
                self._attach_cgroup(hierarchy.at(self._cgroup_path), directory, mount)
                for controller in hierarchy.controllers if len(hierarchy.controllers) > 1 else ():
                    os.symlink(hierarchy.name, controller, dir_fd=top)
            if mount.flags & MS_RDONLY:
                mounts.mount_setattr(top, attributes=mounts.MOUNT_ATTR_RDONLY)
            os.close(top)

    def _attach_cgroup(self, source: str, target: int, mount: Mount) -> None:
        tree = mounts.open_tree(source)
        mounts.mount_setattr(tree, attributes=mount.attributes[0], clear=mount.attributes[1], propagation=MS_PRIVATE)
        mounts.move_mount(tree, target)
        os.close(tree)
        os.close(target)

    def _make_devices(self) -> None:
        directories: dict[str, int] = {}
        for device in (*DEVICES, *(self._linux.get("devices") or ())):
            with Step(f'error creating device nodes: mknod "{device["path"]}"'):
                parent, _, name = device["path"].rpartition("/")
                if parent not in directories:
                    directories[parent] = paths.make_in(self.fd, parent, directory=True)
                _make_device(directories[parent], name, device)
        with Step("error creating /dev symlinks"):
            dev = directories["/dev"]
            for name, target in LINKS:
                _link(target, name, dev)
            if os.path.exists("/proc/kcore"):
                _link("/proc/kcore", "core", dev)
        for fd in directories.values():
            os.close(fd)

    def _open_null(self) -> int:
        """The container's /dev/null if it truly is that device (CVE-2025-31133), else the host's."""
        try:
            fd = paths.open_in(self.fd, "/dev/null", links=False)
        except OSError:
            fd = -1
        if fd >= 0 and not _is_null(fd):
            os.close(fd)
            fd = -1
        if fd < 0:
            fd = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
        if not _is_null(fd):
            raise StartError("can't mask paths: /dev/null is not the null device")
        return fd

    def _mask(self, path: str, null: int) -> None:
        target = self._existing(path)
        if target is None:
            return
        if stat.S_ISDIR(os.fstat(target).st_mode):
            mounts.mount_at("tmpfs", target, "tmpfs", MS_RDONLY)
        else:
            tree = mounts.open_tree("", directory=null)
            mounts.move_mount(tree, target)
            os.close(tree)
        os.close(target)

    def _make_read_only(self, path: str) -> None:
        target = self._existing(path)
        if target is None:
            return
        tree = mounts.open_tree("", directory=target, recursive=True)
        mounts.mount_setattr(tree, attributes=mounts.MOUNT_ATTR_RDONLY, recursive=True)
        mounts.move_mount(tree, target)
        os.close(tree)
        os.close(target)

    def _existing(self, path: str) -> int | None:
        """``path`` if there is one. In /proc and /sys no link leads there, and it must be the kernel's own."""
        expected = {"/proc/": mounts.PROC_MAGIC, "/sys/": mounts.SYSFS_MAGIC}.get(path[: path.find("/", 1) + 1])
        try:
            fd = paths.open_in(self.fd, path, links=expected is None)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if expected is not None and mounts.magic(fd) not in (expected, mounts.CGROUP_MAGIC, mounts.CGROUP2_MAGIC):
            os.close(fd)
            if self._mounted(path):
                raise from_errno(f"{path} is not the kernel's own file", errno.ELOOP)
            return None
        return fd

    def _mounted(self, path: str) -> bool:
        """Whether /proc or /sys was to be mounted: without it the path is the image's own, and hides nothing."""
        return any(path.startswith(f"{mount.target}/") and mount.fstype in ("proc", "sysfs") for mount in self.mounts)


def detach_from_host() -> None:
    """Keep our mounts from reaching the host; what is unmounted there still goes away here."""
    mounts.mount(None, "/", None, MS_SLAVE | MS_REC)


def overlay_options(lower: list[str], upper: str, work: str) -> str:
    """The data of an overlay mount(2); a colon, comma or backslash in a name is escaped."""
    names = [":".join(_escape(name) for name in lower), _escape(upper), _escape(work)]
    return "lowerdir={},upperdir={},workdir={}".format(*names)


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


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _make_device(parent: int, name: str, device: Mapping[str, Any]) -> None:
    """``device`` is an entry of the specification's ``linux.devices``."""
    kind = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}[device["type"]]
    mode = device.get("fileMode", 0o666) & 0o7777
    try:
        os.mknod(name, kind | mode, os.makedev(device.get("major", 0), device.get("minor", 0)), dir_fd=parent)
    except FileExistsError:
        return
    uid, gid = device.get("uid") or 0, device.get("gid") or 0
    if uid or gid:
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)


def _link(target: str, name: str, directory: int) -> None:
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        return


def _is_null(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL
