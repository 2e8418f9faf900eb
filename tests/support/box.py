"""A box: a network namespace that is one daemon's whole machine as far as the network goes.

What the daemon builds (bridges, veths, firewall tables) is then its own, whatever the machine's other daemons and
firewalls do, and a search for leftovers can ask for an empty list. Only the network is boxed: the box's processes
see the machine's file systems, cgroups and process ids.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from support.commands import run

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Box:
    """A named network namespace with its loopback up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def argv(self, *argv: str) -> list[str]:
        """A command line that runs ``argv`` inside. Not ``ip netns exec``: that one remounts /sys and hides cgroups."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def run(self, *argv: str, check: bool = True) -> str:
        """What a program prints when it runs inside."""
        return run(*self.argv(*argv), check=check).stdout

    def inside(self, work: Callable[[], T]) -> T:
        """``work`` done by a thread that has joined the box: the sockets it makes belong there."""
        return in_netns(self.path, work)

    def fetch(self, url: str, *, timeout: float = 5) -> str:
        """The page at ``url``, asked for from inside the box."""

        def get() -> str:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                return response.read().decode()

        return self.inside(get)

    def udp(self, host: str, port: int, message: bytes, *, timeout: float = 2) -> bytes:
        """One datagram sent from inside the box and the one that comes back."""

        def ask() -> bytes:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(timeout)
                sock.sendto(message, (host, port))
                return sock.recv(65536)

        return self.inside(ask)

    def connects(self, host: str, port: int, *, timeout: float = 2) -> bool:
        """Whether a TCP connection from inside the box is taken."""

        def knock() -> bool:
            try:
                socket.create_connection((host, port), timeout=timeout).close()
            except OSError:
                return False
            return True

        return self.inside(knock)

    def wire(self, other: Box, *, here: str, there: str) -> None:
        """A cable between two boxes, an address (with prefix length) on each end."""
        mine, theirs = f"to-{other.name}"[:15], f"to-{self.name}"[:15]
        run("ip", "-n", self.name, "link", "add", mine, "type", "veth", "peer", "name", theirs, "netns", other.name)
        for box, link, address in ((self, mine, here), (other, theirs, there)):
            run("ip", "-n", box.name, "address", "add", address, "dev", link)
            run("ip", "-n", box.name, "link", "set", link, "up")

    def unwire(self, other: Box) -> None:
        """Take the cable away."""
        run("ip", "-n", self.name, "link", "delete", f"to-{other.name}"[:15])

    def links(self) -> list[str]:
        """The names of the links inside, loopback left out."""
        lines = run("ip", "-n", self.name, "-o", "link", "show").stdout.splitlines()
        names = [line.split(": ")[1].split("@")[0] for line in lines]
        return [name for name in names if name != "lo"]

    def tables(self) -> list[str]:
        """The nftables tables inside."""
        return self.run("nft", "list", "tables").splitlines()

    def remove(self) -> None:
        """Delete the namespace; what still lives in it keeps it alive unnamed, which the leak search finds."""
        run("ip", "netns", "delete", self.name, check=False)


def in_netns(path: str, work: Callable[[], T]) -> T:
    """``work``'s result, done by a thread of its own inside the network namespace at ``path``."""
    results: list[T] = []
    faults: list[BaseException] = []

    def body() -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns", path)
            finally:
                os.close(fd)
            results.append(work())
        except BaseException as fault:  # noqa: BLE001  handed to the caller's thread below
            faults.append(fault)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return results[0]
