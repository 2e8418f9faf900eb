"""A container's root file system, put together in its own mount namespace, before anything of the container runs.

    root = Root(spec, cgroups)        all of config.json's mounts, read and judged
    root.clone_sources(…)             as the host: what is taken from it, and ids that are mapped
    root.fd = …                       the layers are mounted (``init_layers``)
    root.populate()                   mounts in their order, then /dev
    root.populate_cgroups()           once the container's cgroup and cgroup namespace are there
    root.bind_console(replica)
    root.seal()                       masks, and what is read-only
    root.pivot()

Every target is a descriptor below the root's descriptor (``linux.paths``): what an image or a shared volume holds there
cannot lead a mount elsewhere (S3). All of it happens before pivot_root(2), while /proc is still the host's. From
``populate`` on the caller may be root of a user namespace.
"""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux import mounts, paths
from wherry.linux.mounts import MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC, MS_SLAVE
from wherry.runtime import init_mount_devices as devices
from wherry.runtime import init_mount_make as making
from wherry.runtime import init_mount_pivot as pivoting
from wherry.runtime import init_mount_seal as sealing
from wherry.runtime import init_mount_sources as sources
from wherry.runtime.init_errors import StartError, Step
from wherry.runtime.init_mount_cgroups import mount_cgroups
from wherry.runtime.init_mounts import BIND, CGROUP, REMOUNT, Mount, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.linux.cgroups.base import Cgroups
    from wherry.runtime.init_mount_sources import NamespaceOf
    from wherry.runtime.init_mounts import Mappings


class Root:
    """The root under construction."""

    def __init__(
        self, spec: dict[str, Any], cgroups: Cgroups | None, *, user_namespace: bool = False, bundle: str = ""
    ) -> None:
        self._linux: dict[str, Any] = spec.get("linux") or {}
        self._cgroups = cgroups
        self.cgroup_path: str = self._linux.get("cgroupsPath") or ""
        """The container's group, from the top of the hierarchies; whoever has resolved config.json's sets it."""
        self._inside = user_namespace
        self._own = frozenset(entry["type"] for entry in self._linux.get("namespaces") or () if not entry.get("path"))
        self._label: str = self._linux.get("mountLabel") or ""
        self._read_only = bool((spec.get("root") or {}).get("readonly"))
        self._propagation = _propagation(self._linux.get("rootfsPropagation") or "")
        self._trees: dict[int, int] = {}
        self._nodes: dict[str, int] = {}
        self._late: list[int] = []
        self._deferred: list[int] = []
        self.fd = -1
        """The top of the container's file system, once it is mounted."""
        self.mounts = [_parse(entry, bundle) for entry in spec.get("mounts") or ()]
        self._bound: set[str] = set()
        self._covered = {mount.target for mount in self.mounts}
        for mount in self.mounts:
            if mount.idmap and mount.mappings is None and not user_namespace:
                raise StartError(f"{mount.title}: id-mapped mounts must have both uid and gid mappings specified")
        # Of the host's devices nothing is changed.
        self.own_dev = not any(
            mount.target == "/dev" and (mount.kind == BIND or mount.fstype == "devtmpfs") for mount in self.mounts
        )
        self._devices = devices.wanted(self._linux) if self.own_dev else []

    def clone_sources(self, userns_fd_of: NamespaceOf) -> None:
        """Take hold of what comes from the host. ``userns_fd_of`` gives a user namespace with an entry's mappings.

        Before our mounts are cut off from the host's: ``shared`` and ``slave`` need something to be shared with.
        """
        default = sources.default_propagation(self._linux.get("rootfsPropagation") or "")
        made: dict[str, int] = {}

        def namespace_of(mappings: Mappings | None) -> int:
            """One for all mounts with the same maps: each costs a process."""
            key = repr(mappings)
            if key not in made:
                made[key] = userns_fd_of(mappings)
            return made[key]

        for index, mount in enumerate(self.mounts):
            if mount.kind == BIND:
                self._trees[index] = sources.clone(mount, default, namespace_of)
            elif mount.idmap:
                self._trees[index] = sources.create_mapped(mount, namespace_of)
            elif self._inside and (tree := sources.borrow(mount, self._own)) >= 0:
                self._trees[index] = tree
        if self._inside:
            self._nodes = devices.take_from_host(self._devices)
        for fd in made.values():
            os.close(fd)

    def populate(self) -> None:
        """Everything inside, in the order of config.json, but for the cgroups and what is mounted below them."""
        for index, mount in enumerate(self.mounts):
            if mount.kind == CGROUP or any(mount.below(self.mounts[other]) for other in self._deferred):
                self._deferred.append(index)
            else:
                self._mount(index, mount)
        if self.own_dev:
            devices.make_all(self.fd, self._devices, covered=self._covered, bound=self._bound, nodes=self._nodes)

    def populate_cgroups(self) -> None:
        """The rest: once the container's cgroup has been made."""
        for index in self._deferred:
            self._mount(index, self.mounts[index])

    def bind_console(self, replica: int) -> None:
        """Mount the terminal ``replica`` on /dev/console, which must be a plain file or device (CVE-2025-52565)."""
        with Step("error mounting the terminal on /dev/console"):
            parent = paths.make_in(self.fd, "/dev", directory=True)
            target = paths.make_at(parent, "console", directory=False, mode=0o600)
            if not _is_plain(target):
                raise OSError(errno.ELOOP, "not a plain file")
            tree = mounts.open_tree("", directory=replica)
            mounts.mount_setattr(tree, propagation=MS_PRIVATE)
            mounts.move_mount(tree, target)
            for fd in (tree, target, parent):
                os.close(fd)

    def seal(self) -> None:
        """What the program may not see or write: after all that had to be made there has been made."""
        for path in self._linux.get("readonlyPaths") or ():
            sealing.make_read_only(self.fd, path, self.mounts)
        masked = self._linux.get("maskedPaths") or ()
        if masked:
            null = sealing.open_null(self.fd)
            for path in masked:
                sealing.mask(self.fd, path, null, self.mounts, self._label)
            os.close(null)
        with Step("error making rootfs read-only"):
            for tree in self._late:
                mounts.mount_setattr(tree, attributes=MOUNT_ATTR_RDONLY)
                os.close(tree)
            if self._read_only:
                mounts.mount_setattr(self.fd, attributes=MOUNT_ATTR_RDONLY)

    def pivot(self, *, no_pivot: bool = False) -> None:
        """Make it our root and let go of the old one; with ``no_pivot`` that one stays below it."""
        with Step("error jailing process inside rootfs"):
            if no_pivot:
                pivoting.move(self.fd)
            else:
                pivoting.pivot(self.fd)
        os.close(self.fd)
        self.fd = -1
        # Here and not before: else it would concern the host's mount that the root was. What is private or a slave
        # has been so all along, and stays what its own entry asked for.
        if self._propagation and not self._propagation & (MS_PRIVATE | MS_SLAVE):
            with Step("unable to apply root propagation flags"):
                mounts.mount(None, "/", None, self._propagation)

    def _mount(self, index: int, mount: Mount) -> None:
        tree = self._trees.pop(index, -1)
        with Step(mount.title):
            if mount.kind == REMOUNT:
                making.change(self.fd, mount)
            elif mount.kind == CGROUP:
                own = "cgroup" in self._own
                mount_cgroups(self.fd, mount, self._cgroups, self.cgroup_path, own_namespace=own)
            elif mount.kind == BIND or mount.idmap:
                where = making.put_down(self.fd, mount, tree, covers=mount.kind != BIND)
                if mount.kind == BIND:
                    self._bound.add(where)
            else:
                late = making.make(self.fd, mount, label=self._label, inside=self._inside, spare=tree)
                if late >= 0:
                    self._late.append(late)


def _parse(entry: dict[str, Any], bundle: str) -> Mount:
    try:
        return parse(entry, bundle)
    except ValueError as error:
        source, target = entry.get("source") or "", entry["destination"]
        raise StartError(f'error mounting "{source}" to rootfs at "{target}": {error}') from None


def _propagation(word: str) -> int:
    """``linux.rootfsPropagation`` as mount(2) flags; 0 for none."""
    if not word:
        return 0
    flag = mounts.PROPAGATION.get(word) or mounts.PROPAGATION.get(word.removeprefix("r"), 0) | MS_REC
    if flag == MS_REC:
        raise StartError(f"rootfsPropagation={word} is not supported")
    return flag


def _is_plain(fd: int) -> bool:
    kind = stat.S_IFMT(os.fstat(fd).st_mode)
    return kind in (stat.S_IFREG, stat.S_IFCHR)
