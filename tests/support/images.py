"""Images made here from the machine's own files: no network, the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

BUSYBOX = "/bin/busybox"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = "root:x:0:\ndaemon:x:1:\nwheel:x:10:root\nusers:x:100:daemon,nobody\nnogroup:x:65534:\n"
EPOCH = "2024-01-01T00:00:00Z"


class Tar:
    """A tar written in memory; every entry belongs to root and is dated 0 unless told otherwise."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.tar = tarfile.TarFile(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(
        self, name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, **more: Any
    ) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size = kind, mode, len(data)
        for key, value in more.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data))

    def folder(self, name: str, mode: int = 0o755) -> None:
        self.add(name, kind=tarfile.DIRTYPE, mode=mode)

    def link(self, name: str, target: str) -> None:
        self.add(name, kind=tarfile.SYMTYPE, mode=0o777, linkname=target)

    def bytes(self) -> bytes:
        self.tar.close()
        return self.buffer.getvalue()


def busybox_root(path: Path, *folders: str) -> Path:
    """A root directory with the machine's static busybox, all its applets, and these folders."""
    for name in ("bin", *folders):
        (path / name).mkdir(parents=True)
    path.chmod(0o755)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (path / "bin" / applet).symlink_to("busybox")
    return path


def busybox_layer() -> bytes:
    """A root file system holding the machine's static busybox and its applets."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    tar = Tar()
    for folder in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var", "www"):
        tar.folder(folder)
    tar.folder("tmp", 0o1777)
    tar.add("bin/busybox", Path(BUSYBOX).read_bytes(), mode=0o755)
    for applet in sorted({*applets} - {"busybox"}):
        tar.link(f"bin/{applet}", "busybox")
    tar.add("etc/passwd", PASSWD.encode())
    tar.add("etc/group", GROUP.encode())
    tar.add("www/index.html", b"served from a container\n")
    return tar.bytes()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config_of(layers: list[bytes], **config: Any) -> dict[str, Any]:
    """An image configuration for these layers."""
    return {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "created": EPOCH,
        "config": {"Env": [PATH], "Cmd": ["sh"], **config},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": EPOCH, "created_by": f"layer {number}"} for number, _ in enumerate(layers)],
    }


def docker_archive(tags: list[str], layers: list[bytes], **config: Any) -> bytes:
    """What ``docker save`` writes, for ``docker load``."""
    document = json.dumps(config_of(layers, **config)).encode()
    name = hashlib.sha256(document).hexdigest()
    tar = Tar()
    tar.add(f"{name}.json", document)
    paths = []
    for number, layer in enumerate(layers):
        folder = hashlib.sha256(f"{name} {number}".encode() + layer).hexdigest()
        tar.folder(folder)
        tar.add(f"{folder}/layer.tar", layer)
        paths.append(f"{folder}/layer.tar")
    tar.add("manifest.json", json.dumps([{"Config": f"{name}.json", "RepoTags": tags, "Layers": paths}]).encode())
    return tar.bytes()


def image_id(layers: list[bytes], **config: Any) -> str:
    """The id that the image of ``docker_archive`` has: the digest of its configuration."""
    return digest_of(json.dumps(config_of(layers, **config)).encode())


def small_layer(**files: str) -> bytes:
    """A layer of a few text files at the root."""
    tar = Tar()
    for name, text in files.items():
        tar.add(name, text.encode())
    return tar.bytes()
