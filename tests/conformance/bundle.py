"""Bundles: a root file system of busybox and a config.json made from a base and a test's changes."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spec = dict[str, Any]
Change = Callable[[Spec], None]

BUSYBOX = Path("/bin/busybox")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = [
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"),
    "CAP_AUDIT_WRITE",
]
APPLETS = (
    *("ash", "cat", "chmod", "cut", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "ionice", "kill"),
    *("ls", "mknod", "mkdir", "mount", "pwd", "readlink", "rm", "sed", "sh", "sleep", "stat", "stty", "tail", "touch"),
    *("tr", "true", "tty", "umount", "uname", "wc"),
)
"""The programs that the tests' scripts use."""
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")


def mount(destination: str, kind: str, source: str, *options: str) -> Spec:
    """One entry of ``mounts``."""
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def bind(destination: str, source: object, *options: str) -> Spec:
    """A bind mount."""
    return mount(destination, "none", str(source), *(options or ("bind",)))


MOUNTS = [
    mount("/proc", "proc", "proc"),
    mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
    mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
]

BASE: Spec = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/true"],
        "env": [PATH],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
    },
    "root": {"path": "rootfs"},
    "hostname": "conformance",
    "mounts": MOUNTS,
    "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
}


class Image:
    """The root file system that bundles are filled with; its one program is shared by hard link."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "busybox"
        self.program.write_bytes(BUSYBOX.read_bytes())
        self.program.chmod(0o755)

    def fill(self, root: Path) -> None:
        for name in ("bin", "etc", "tmp", "dev", "proc", "sys", "home"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "tmp").chmod(0o1777)
        os.link(self.program, root / "bin" / "busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\n")


class Bundle:
    """A directory with ``config.json`` and ``rootfs``."""

    def __init__(self, directory: Path, image: Image, *changes: Change) -> None:
        self.directory = directory
        self.rootfs = directory / "rootfs"
        directory.mkdir()
        directory.chmod(0o755)
        image.fill(self.rootfs)
        self.spec: Spec = copy.deepcopy(BASE)
        for change in changes:
            change(self.spec)
        self.write()

    def write(self) -> None:
        """Put the specification down, as it is now."""
        (self.directory / "config.json").write_text(json.dumps(self.spec))

    def own(self, uid: int, gid: int) -> None:
        """Give the root file system to another user, the shared program left out."""
        for top, folders, files in os.walk(self.rootfs):
            for path in [top, *(f"{top}/{name}" for name in folders + files)]:
                if not path.endswith("/bin/busybox"):
                    os.chown(path, uid, gid, follow_symlinks=False)


# Changes that many tests make.


def args(*words: str) -> Change:
    """Run this program."""
    return lambda spec: spec["process"].update(args=list(words))


def shell(script: str) -> Change:
    """Run this shell script."""
    return args("/bin/sh", "-c", script)


def process(**fields: Any) -> Change:
    """Set fields of ``process``."""
    return lambda spec: spec["process"].update(fields)


def linux(**fields: Any) -> Change:
    """Set fields of ``linux``."""
    return lambda spec: spec["linux"].update(fields)


def top(**fields: Any) -> Change:
    """Set fields at the top."""
    return lambda spec: spec.update(fields)


def mounts(*entries: Spec) -> Change:
    """Add mounts behind the usual ones."""
    return lambda spec: spec.update(mounts=[*spec["mounts"], *entries])


def namespace(kind: str, path: str | None = None) -> Change:
    """A new namespace of this type, or the one at ``path``, in place of what the base has."""

    def change(spec: Spec) -> None:
        kept = [item for item in spec["linux"]["namespaces"] if item["type"] != kind]
        spec["linux"]["namespaces"] = [*kept, {"type": kind, **({"path": path} if path else {})}]

    return change


def without_namespace(kind: str) -> Change:
    """The runtime's own namespace of this type."""

    def change(spec: Spec) -> None:
        spec["linux"]["namespaces"] = [item for item in spec["linux"]["namespaces"] if item["type"] != kind]
        if kind == "uts":
            spec.pop("hostname", None)

    return change


def capabilities(**sets: list[str]) -> Change:
    """Exactly these capability sets."""
    return process(capabilities=sets)
