"""What the guest needs and the host may lack: a kernel and its modules, the packages of systemd, D-Bus and AppArmor.

    .cache/vm/
    ├── kernel/        vmlinux, and the name of its version
    ├── root/          a root file system below the host's own: modules, and what of PACKAGES the host has not installed
    ├── initramfs      written by initramfs.py
    ├── checkout/      a copy of the checkout, made for each run
    ├── lock           held while a machine runs
    └── runs/N/        one run: its command, console log, exit status, disks

Debian's packages are downloaded with apt and unpacked; nothing on the host changes. ``.complete`` in root/ holds the
names of the archives it was made of.
"""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGES = ("kmod", "apparmor", "systemd", "dbus")
MERGED = ("bin", "sbin", "lib", "lib64")  # folders that are links into usr/ on every host this runs on


class Missing(Exception):
    """The host cannot run a machine; the message says what it lacks."""


class Cache:
    """The folder, filled by ``prepare``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.kernel = folder / "kernel" / "vmlinux"
        self.checkout = folder / "checkout"
        self.initramfs = folder / "initramfs"

    @property
    def version(self) -> str:
        """The kernel's, as ``uname -r`` says it in the guest."""
        return (self.folder / "kernel" / "version").read_text().strip()

    @property
    def modules(self) -> Path:
        return self.root / "usr/lib/modules" / self.version

    def prepare(self) -> None:
        """Fetch and unpack what is not there yet. Raises Missing."""
        if (self.root / ".complete").exists():
            return
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise Missing(f"{program} is not on this machine: the guest's kernel is Debian's")
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            archives = Path(scratch, "archives")
            (archives / "partial").mkdir(parents=True)
            _download(archives)
            names = sorted(path.name for path in archives.glob("*.deb"))
            for name in names:
                self._unpack(archives / name, Path(scratch, "unpacked"))
        self._keep_kernel()
        self._index_modules()
        (self.root / ".complete").write_text("\n".join(names) + "\n")

    def _unpack(self, archive: Path, scratch: Path) -> None:
        """Into root/, with /lib and its like where the host's links lead."""
        _run("dpkg-deb", "--extract", archive, scratch)
        for name in MERGED:
            if (scratch / name).is_dir() and not (scratch / name).is_symlink():
                (scratch / "usr" / name).mkdir(parents=True, exist_ok=True)
                _run("cp", "-a", "--link", f"{scratch / name}/.", scratch / "usr" / name)
                shutil.rmtree(scratch / name)
        _run("cp", "-a", "--link", f"{scratch}/.", self.root)
        shutil.rmtree(scratch)

    def _keep_kernel(self) -> None:
        image = next((self.root / "boot").glob("vmlinuz-*"))
        self.kernel.parent.mkdir(exist_ok=True)
        (self.kernel.parent / "version").write_text(image.name.removeprefix("vmlinuz-"))
        self.kernel.write_bytes(_decompressed(image.read_bytes()))
        shutil.rmtree(self.root / "boot")

    def _index_modules(self) -> None:
        """Write modules.dep and its like, which a package's installation would do."""
        unpacked = self.root / "usr/bin/kmod"
        program = unpacked if unpacked.exists() else Path("/usr/bin/kmod")
        # depmod is kmod by another name.
        _run("depmod", "--basedir", self.root / "usr", self.version, executable=program)


def _decompressed(image: bytes) -> bytes:
    """The kernel as an ELF file, which QEMU starts directly (PVH): unpacking it in the guest takes longer than booting.

    Debian's are packed with xz; one that is not is used as it is.
    """
    start = image.find(b"\xfd7zXZ\0")
    return image if start < 0 else lzma.LZMADecompressor().decompress(image[start:])


def _download(archives: Path) -> None:
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        _run("apt-get", "update", "-qq")
    options = ("-qq", "-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root")
    depends = _run("apt-cache", "depends", "linux-image-amd64")
    image = next(line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line)
    _run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", image, cwd=archives)
    # Only what the host has not: of two versions of a library the guest would see the host's.
    further = ("install", "--download-only", "--no-upgrade", "--no-install-recommends", "-y", *PACKAGES)
    _run("apt-get", *options, *further)


def _run(*argv: str | Path, cwd: Path | None = None, executable: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        executable=executable,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"{' '.join(map(str, argv))} exited {done.returncode}: {done.stderr.strip()}")
    return done.stdout
