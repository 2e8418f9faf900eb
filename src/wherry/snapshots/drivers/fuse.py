"""The fuse-overlayfs driver: layers merged by a program, where the kernel's overlayfs does not work.

One ``fuse-overlayfs`` process serves one container's root, from its start to its end. It makes itself a daemon, so it
and the container survive ours; whoever finds the mount later needs only its path. A mount whose process has died
answers ENOTCONN: it is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from wherry.lib.errors import Unavailable
from wherry.linux.mounts import MNT_DETACH, unmount
from wherry.linux.namespaces import IN_USER_NAMESPACE
from wherry.linux.trees import remove_tree
from wherry.snapshots.drivers.built import built_changes
from wherry.snapshots.drivers.protocol import IdMaps, IdRange
from wherry.snapshots.model import Overlay
from wherry.snapshots.translated import translate

PROGRAM = "fuse-overlayfs"
DEVICE = "/dev/fuse"
MERGED = "merged"
TIMEOUT = 30.0
"""Seconds for the program to mount; it does nothing else before it answers."""


class FuseDriver:
    """fuse-overlayfs."""

    name = "fuse-overlayfs"

    def probe(self, root: Path) -> None:
        """Mount one and put a file into it."""
        if shutil.which(PROGRAM) is None:
            raise Unavailable(f"the program {PROGRAM} is not installed")
        if not os.path.exists(DEVICE):
            raise Unavailable(f"{DEVICE} is missing: load the kernel module fuse, or let this machine have the device")
        place = root / "probe-fuse"
        self.release(str(place))
        remove_tree(str(place))
        for name in ("fs", "work", MERGED, "lower"):
            (place / name).mkdir(parents=True)
        try:
            _mount(str(place), [str(place / "lower")], None)
            os.close(os.open(place / MERGED / "file", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))
        except OSError as error:
            raise Unavailable(f"{PROGRAM} does not work below {root}: {error}") from None
        finally:
            self.release(str(place))
            remove_tree(str(place))

    def claim(self, own: str) -> None:
        """The place of the mount says whose snapshot it is."""
        os.makedirs(f"{own}/{MERGED}", mode=0o755, exist_ok=True)

    async def fill(self, own: str, lower: Sequence[str]) -> None:  # noqa: ARG002
        """Nothing is copied."""
        self.claim(own)

    def root(self, own: str, lower: Sequence[str]) -> Overlay:  # noqa: ARG002
        """The mount."""
        return Overlay(lower=(f"{own}/{MERGED}",), upper="", work="", mapped=True)

    async def ready(self, own: str, lower: Sequence[str], maps: IdMaps | None) -> None:
        """Mount it, unless it is."""
        await asyncio.to_thread(_make_ready, own, list(lower), maps)

    def release(self, own: str) -> None:
        """Unmount it: the process ends with the last who looks into it."""
        # EINVAL: not a mount.
        while True:
            try:
                unmount(f"{own}/{MERGED}", MNT_DETACH)
            except OSError:
                return

    def changes(self, own: str, lower: Sequence[str]) -> AbstractContextManager[str]:  # noqa: ARG002
        """The upper directory, which the program writes through to, in the kernel's form."""
        return built_changes(own, "fs", translate)


def _make_ready(own: str, lower: Sequence[str], maps: IdMaps | None) -> None:
    merged = f"{own}/{MERGED}"
    try:
        if os.path.ismount(merged) and os.listdir(merged):
            return
    except OSError:
        pass  # its process is gone
    with contextlib.suppress(OSError):
        unmount(merged, MNT_DETACH)
    os.makedirs(merged, mode=0o755, exist_ok=True)
    _mount(own, lower, maps)


def _mount(own: str, lower: Sequence[str], maps: IdMaps | None) -> None:
    """Start the program; it returns when the mount is there. Raises Unavailable.

    Paths are given relative to the directory that holds all of them: no character in that one's name matters then.
    """
    top = os.path.commonpath([own, *lower])
    names = {
        "lowerdir": ":".join(os.path.relpath(path, top) for path in lower),
        "upperdir": os.path.relpath(f"{own}/fs", top),
        "workdir": os.path.relpath(f"{own}/work", top),
    }
    if maps is not None and maps.uids:
        names |= {"uidmapping": _mapping(maps.uids), "gidmapping": _mapping(maps.gids)}
    # Without the first two the program's mount is nodev and nosuid; a user namespace may not ask for them.
    words = [] if IN_USER_NAMESPACE else ["dev", "suid"]
    options = ",".join([*words, *(f"{name}={value}" for name, value in names.items())])
    try:
        done = subprocess.run(
            [PROGRAM, "-o", options, os.path.relpath(f"{own}/{MERGED}", top)],
            cwd=top,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{PROGRAM}: {error}") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unavailable(f"{PROGRAM} exited {done.returncode}: {words[-1] if words else 'without a word'}")


def _mapping(ranges: Sequence[IdRange]) -> str:
    return ":".join(f"{one.inside}:{one.outside}:{one.size}" for one in ranges)
