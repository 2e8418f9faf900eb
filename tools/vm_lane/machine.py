"""QEMU: the guest's hardware, its two output streams passed on as they come, and an end by a deadline."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache

MEMORY = "2G"
DISK = 1 << 30  # bytes, sparse
SWAP = 256 << 20
KERNEL = (
    "console=ttyS0 loglevel=4 panic=-1 nokaslr random.trust_cpu=on net.ifnames=0 cgroup_no_v1=all apparmor=1 "
    "security=apparmor "
    # What costs under emulation and means nothing here: a third of the processor time of a daemon's start.
    "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off nowatchdog "
    "transparent_hugepage=never rcupdate.rcu_expedited=1"
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One run: its folder holds ``start``, ``command``, and gets ``console.log`` and ``status``."""

    cache: Cache
    run: Path
    project: Path
    systemd: bool

    def execute(self, timeout: float) -> bool:
        """Boot, pass the streams on, wait for the end. False: the time was over and the machine was ended."""
        self._make_disks()
        pairs = [socket.socketpair() for _ in range(2)]
        process = subprocess.Popen(
            self._argv([theirs.fileno() for _, theirs in pairs]),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno() for _, theirs in pairs],
        )
        for _, theirs in pairs:
            theirs.close()
        outputs = {ours: fd for (ours, _), fd in zip(pairs, (1, 2), strict=True)}
        in_time = False
        try:
            in_time = _relay(outputs, time.monotonic() + timeout)
        finally:
            _end(process, within=5 if in_time else 0)
            for name in ("disk", "swap"):
                (self.run / name).unlink()
        return in_time

    def _make_disks(self) -> None:
        for name, size in (("disk", DISK), ("swap", SWAP)):
            with (self.run / name).open("wb") as file:
                file.truncate(size)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", self.run / "disk"], check=True)

    def _argv(self, streams: list[int]) -> list[str]:
        share = "local,security_model=passthrough,multidevs=remap"
        argv = [
            *("setpriv", "--pdeathsig", "KILL"),  # whoever ends us ends the machine
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512"),
            *("-cpu", "max,la57=off", "-smp", "2", "-m", MEMORY),
            *("-kernel", str(self.cache.kernel), "-initrd", str(self.cache.initramfs)),
            *("-append", f"{KERNEL} vm.project={self.project} vm.mode={'systemd' if self.systemd else 'plain'}"),
            *("-serial", f"file:{self.run}/console.log"),
            *("-virtfs", f"{share},path=/,mount_tag=host,readonly=on"),
            *("-virtfs", f"{share},path={self.cache.root},mount_tag=packages,readonly=on"),
            *("-virtfs", f"{share},path={self.cache.checkout},mount_tag=checkout,readonly=on"),
            *("-virtfs", f"{share},path={self.run},mount_tag=run"),
            *("-drive", f"file={self.run}/disk,format=raw,if=virtio,cache=unsafe"),
            *("-drive", f"file={self.run}/swap,format=raw,if=virtio,cache=unsafe"),
            *("-device", "virtio-serial-pci"),
        ]
        for number, fd in enumerate(streams, start=1):
            argv += ["-chardev", f"socket,id=stream{number},fd={fd}"]
            argv += ["-device", f"virtserialport,chardev=stream{number},nr={number}"]
        return argv


def _relay(streams: dict[socket.socket, int], deadline: float) -> bool:
    """Copy each socket to its descriptor until both have ended. False: the deadline came first."""
    with selectors.DefaultSelector() as selector:
        for sock in streams:
            selector.register(sock, selectors.EVENT_READ)
        while selector.get_map():
            if (left := deadline - time.monotonic()) <= 0:
                return False
            for key, _ in selector.select(left):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if data := sock.recv(65536):
                    _write(streams[sock], data)
                else:
                    selector.unregister(sock)
    return True


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _end(process: subprocess.Popen[bytes], *, within: float) -> None:
    """Wait a moment for a machine that powers itself off; end one that does not."""
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
