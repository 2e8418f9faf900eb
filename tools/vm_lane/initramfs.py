"""The archive that the kernel unpacks first: busybox, ``init.sh``, and the modules between the kernel and its root.

Written by hand in the cpio format "newc" (kernel: Documentation/driver-api/early-userspace/buffer-format.rst): a header
of hexadecimal fields, the name, the data, each padded to four bytes, ended by an entry called TRAILER!!!.
"""

from __future__ import annotations

import lzma
import os
import stat
from pathlib import Path

from .cache import Cache, Missing

MODULES = ("virtio_pci", "virtio_console", "virtio_blk", "9pnet_virtio", "9p", "overlay", "ext4")
FOLDERS = ("bin", "dev", "proc", "sys", "run", "modules")
INIT = Path(__file__).with_name("init.sh")


def write(cache: Cache) -> None:
    """Make ``cache.initramfs`` anew if what it is made of has changed."""
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        raise Missing("/bin/busybox is not on this machine: install busybox-static")
    sources = [busybox, INIT, Path(__file__), cache.kernel]
    if cache.initramfs.exists() and all(path.stat().st_mtime < cache.initramfs.stat().st_mtime for path in sources):
        return
    names = load_order(cache.modules, MODULES)
    parts = [_entry(name, stat.S_IFDIR | 0o755) for name in FOLDERS]
    parts.append(_entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    parts.append(_entry("init", stat.S_IFREG | 0o755, INIT.read_bytes()))
    for number, name in enumerate(names):
        file = f"modules/{number:02}-{Path(name).name.split('.')[0]}.ko"
        parts.append(_entry(file, stat.S_IFREG | 0o644, _module(cache.modules / name)))
    parts.append(_entry("TRAILER!!!", 0))
    fresh = cache.initramfs.with_suffix(".new")
    fresh.write_bytes(b"".join(parts))
    os.replace(fresh, cache.initramfs)


def load_order(modules: Path, wanted: tuple[str, ...]) -> list[str]:
    """The files of ``wanted`` and of all they depend on, each after its own dependencies."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, rest = line.partition(":")
        needs[file] = rest.split()
    files = {Path(file).name.split(".")[0].replace("-", "_"): file for file in needs}
    builtin = {Path(line).stem.replace("-", "_") for line in (modules / "modules.builtin").read_text().splitlines()}
    order: list[str] = []

    def visit(file: str) -> None:
        for other in needs[file]:
            visit(other)
        if file not in order:
            order.append(file)

    # crc32c is asked of the crypto interface by name when ext4 mounts, so no dependency shows it.
    for name in ("crc32c_generic", *wanted):
        if name not in builtin:
            visit(files[name])
    return order


def _module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _entry(name: str, mode: int, data: bytes = b"") -> bytes:
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
