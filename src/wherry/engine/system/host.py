"""What the machine says of itself."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from wherry.lib.atomic import write_file
from wherry.linux.mounts import magic

_FILE_SYSTEMS = {
    0xEF53: "extfs",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x01021994: "tmpfs",
    0x794C7630: "overlayfs",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0x61756673: "aufs",
    0x6969: "nfs",
}
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm", "armv6l": "arm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What does not change while the daemon runs."""

    kernel: str
    machine: str
    """As uname -m says it."""
    architecture: str
    """As Go says it."""
    operating_system: str
    os_version: str
    cpus: int
    memory: int
    """Bytes."""


def read_host() -> Host:
    """Ask the machine."""
    uname = os.uname()
    release = _os_release()
    containerized = " (containerized)" if _containerized() else ""
    return Host(
        kernel=uname.release,
        machine=uname.machine,
        architecture=_GO_ARCHITECTURES.get(uname.machine, uname.machine),
        operating_system=release.get("PRETTY_NAME", "Linux") + containerized,
        os_version=release.get("VERSION_ID", ""),
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    )


def engine_id(root: Path) -> str:
    """The id of the daemon that keeps its data in ``root``: made once, then the same for ever. Raises OSError."""
    path = root / "engine-id"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    made = str(uuid.uuid4())
    write_file(path, made.encode())
    return made


def storage_status(root: Path, driver: str = "overlay2") -> list[tuple[str, str]]:
    """What ``docker info`` shows below the storage driver; of copies there is nothing to say. Raises OSError."""
    if driver in ("native", "vfs"):
        return []
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        file_system = _FILE_SYSTEMS.get(magic(descriptor), "<unknown>")
    finally:
        os.close(descriptor)
    if driver != "overlay2":
        return [("Backing Filesystem", file_system)]
    return [
        ("Backing Filesystem", file_system),
        # The kernel refuses to mount an overlay on a file system without it.
        ("Supports d_type", "true"),
        ("Using metacopy", _overlay_parameter("metacopy")),
        ("Native Overlay Diff", "true" if _overlay_parameter("redirect_dir") == "false" else "false"),
        ("userxattr", "false"),
    ]


def ipv4_forwarding() -> bool:
    """Whether the kernel routes between interfaces."""
    return _first_line("/proc/sys/net/ipv4/ip_forward") == "1"


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def proxy(name: str, told: str = "") -> str:
    """A proxy as ``told``, else out of the environment (``HTTP_PROXY`` or ``http_proxy``), its credentials masked."""
    value = told or os.environ.get(name) or os.environ.get(name.lower()) or ""
    with contextlib.suppress(ValueError):
        parts = urlsplit(value)
        if "@" in parts.netloc:
            return urlunsplit(parts._replace(netloc="xxxxx:xxxxx@" + parts.netloc.rpartition("@")[2]))
    return value


def _os_release() -> dict[str, str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        with contextlib.suppress(OSError):
            lines = Path(path).read_text(errors="replace").splitlines()
            return {
                name: value.strip("\"' ") for name, found, value in (line.partition("=") for line in lines) if found
            }
    return {}


def _containerized() -> bool:
    with contextlib.suppress(OSError):
        return any(
            not re.search(r":/(init\.scope)?$", line) for line in Path("/proc/1/cgroup").read_text().splitlines()
        )
    return False


def _overlay_parameter(name: str) -> str:
    return "true" if _first_line(f"/sys/module/overlay/parameters/{name}") == "Y" else "false"


def _first_line(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().strip()
    return ""
