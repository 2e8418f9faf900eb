"""Network namespaces that play the host, a machine outside and containers; sockets opened inside them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def in_thread(work):
    """What ``work`` gives on a thread of its own, which may change its namespace."""
    box = {}

    def run():
        try:
            box["result"] = work()
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            box["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in box:
        raise box["error"]
    return box["result"]


def enter(path):
    """Move the calling thread into the network namespace at ``path``."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(_libc.setns(fd, CLONE_NEWNET))
    finally:
        os.close(fd)


def inside(path, work):
    """Do ``work`` on a thread inside the namespace at ``path``."""

    def visit():
        enter(path)
        return work()

    return in_thread(visit)


def ip(namespace, *words):
    subprocess.run(["ip", "-n", namespace, *words], check=True, capture_output=True, text=True)


def sh(namespace, *words):
    return subprocess.run(
        ["ip", "netns", "exec", namespace, *words], check=False, capture_output=True, text=True, timeout=20
    )


class Handle:
    def __init__(self, ns_fd, route_fd):
        self.ns_fd, self.route_fd = ns_fd, route_fd

    def close(self):
        for fd in (self.ns_fd, self.route_fd):
            if fd >= 0:
                os.close(fd)
        self.ns_fd = self.route_fd = -1


class Factory:
    """A NamespaceFactory on threads that end right away."""

    def __init__(self):
        self.fail = False

    async def netns(self, path: Path, *, create, sysctls=None, user_namespace=None):  # noqa: ARG002  as the factory
        if self.fail:
            raise OSError(28, "no namespace for you")

        def visit():
            if create:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
                check(_libc.unshare(CLONE_NEWNET))
                check(_libc.mount(b"/proc/thread-self/ns/net", bytes(path), None, MS_BIND, None))
            else:
                enter(path)
            for name, value in (sysctls or {}).items():
                Path("/proc/sys", name.replace(".", "/")).write_text(value)
            route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            return Handle(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), route.detach())

        return in_thread(visit)

    async def drop_netns(self, path: Path):
        def drop():
            _libc.umount2(bytes(path), MNT_DETACH)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

        in_thread(drop)


class Events:
    def __init__(self):
        self.seen = []

    def emit(self, type, action, actor, attributes):  # noqa: A002
        self.seen.append((type, action, actor, dict(attributes)))


class World:
    """A host with an uplink, and a machine outside on the same wire.

    host 198.51.100.1/24 ── 198.51.100.2/24 outside; both route everything else to each other.
    """

    def __init__(self):
        tag = secrets.token_hex(3)
        self.host, self.outside = f"wt-{tag}-host", f"wt-{tag}-out"
        for name in (self.host, self.outside):
            subprocess.run(["ip", "netns", "add", name], check=True)
            ip(name, "link", "set", "lo", "up")
        ip(self.host, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", self.outside)
        ip(self.host, "addr", "add", "198.51.100.1/24", "dev", "up0")
        ip(self.outside, "addr", "add", "198.51.100.2/24", "dev", "up0")
        for name in (self.host, self.outside):
            ip(name, "link", "set", "up0", "up")
        ip(self.host, "route", "add", "default", "via", "198.51.100.2")

    @staticmethod
    def path(name):
        return f"/run/netns/{name}"

    def links(self):
        out = subprocess.run(["ip", "-n", self.host, "-br", "link"], check=True, capture_output=True, text=True).stdout
        return {line.split()[0].partition("@")[0] for line in out.splitlines()}

    def close(self):
        for name in (self.host, self.outside):
            subprocess.run(["ip", "netns", "del", name], check=False)


@contextlib.contextmanager
def server(namespace, port, *, kind=socket.SOCK_STREAM, address="0.0.0.0", family=socket.AF_INET):
    """Something that answers with the address it was asked from."""

    def listen():
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError:
            sock.close()
            raise
        if kind == socket.SOCK_STREAM:
            sock.listen()
        sock.settimeout(0.2)
        return sock

    sock = inside(namespace, listen)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                if kind == socket.SOCK_STREAM:
                    connection, peer = sock.accept()
                    with connection:
                        connection.sendall(peer[0].encode())
                else:
                    _, peer = sock.recvfrom(100)
                    sock.sendto(peer[0].encode(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sock.close()


def ask(namespace, address, port, *, kind=socket.SOCK_STREAM, family=socket.AF_INET, timeout=1.0):
    """What the server behind ``address`` says; None when it cannot be reached."""

    def talk():
        with socket.socket(family, kind) as sock:
            sock.settimeout(timeout)
            try:
                sock.connect((address, port))
                if kind == socket.SOCK_DGRAM:
                    sock.send(b"?")
                return sock.recv(100).decode()
            except OSError:
                return None

    return inside(namespace, talk)
