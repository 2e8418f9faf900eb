"""`make demo`: a page fetched from a container through a published port, with our own tools from end to end.

It starts a daemon of its own in a temporary directory, makes an image of the machine's static busybox (importing a root
file system; building from a Dockerfile comes with a later release), runs it with a published port, fetches the page
from the host, and takes everything away again, also when something fails on the way.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
BUSYBOX = Path("/bin/busybox")
PAGE = b"<h1>First light</h1>\n<p>This page was served from a container run by wherry.</p>\n"
PATIENCE = 20.0  # seconds for the daemon to answer, and for the page to come


def main() -> int:
    """Run the demo. 0 when the page came."""
    if os.geteuid() != 0:
        print("make demo needs root: it makes namespaces, mounts and a bridge", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="wherry-demo-") as root, daemon(Path(root)) as host:
        environ = {**os.environ, "DOCKER_HOST": host}
        wherry(environ, "import", "-", "demo/busybox:latest", stdin=root_file_system())
        port = free_port()
        with removed_afterwards(environ, "first-light"):
            publish = f"127.0.0.1:{port}:80"
            command = ("busybox", "httpd", "-f", "-p", "80", "-h", "/www")
            wherry(environ, "run", "-d", "--name", "first-light", "-p", publish, "demo/busybox:latest", *command)
            wherry(environ, "ps")
            url = f"http://127.0.0.1:{port}/"
            say(f"fetch {url}")
            print(fetch(url), end="")
    say("everything is cleaned up")
    return 0


def say(words: str) -> None:
    """A step, as a person would type it."""
    print(f"\033[1m$ {words}\033[0m" if sys.stdout.isatty() else f"$ {words}", flush=True)


def wherry(environ: dict[str, str], *args: str, stdin: bytes | None = None) -> None:
    """One command of our own client, shown and run."""
    say("wherry " + shlex.join(args))
    subprocess.run([str(BIN / "wherry"), *args], env=environ, input=stdin, check=True, timeout=60)


@contextlib.contextmanager
def daemon(root: Path) -> Iterator[str]:
    """A wherryd of the demo's own, by its socket's address; ended by SIGTERM, and takes its bridge and table along."""
    name = f"wd{secrets.token_hex(3)}"
    host = f"unix://{root}/docker.sock"
    argv = [
        str(BIN / "wherryd"),
        *("--host", host, "--name", name, "--bip", free_subnet()),
        *("--data-root", str(root / "data"), "--exec-root", str(root / "exec"), "--pidfile", str(root / "pid")),
    ]
    say(shlex.join(["wherryd", *argv[1:]]))
    with (root / "daemon.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_socket(root / "docker.sock", process)
        yield host
    except BaseException:
        print((root / "daemon.log").read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL when that is not heard."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_socket(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the daemon takes connections. Raises when it ends or stays silent."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(str(path))
            return
        time.sleep(0.05)
    raise RuntimeError("the daemon did not come up")


@contextlib.contextmanager
def removed_afterwards(environ: dict[str, str], name: str) -> Iterator[None]:
    """The container ``name`` is gone when the block ends, however it ends."""
    try:
        yield
    finally:
        say(f"wherry rm -f {name}")
        subprocess.run([str(BIN / "wherry"), "rm", "-f", name], env=environ, check=False, timeout=60)


def root_file_system() -> bytes:
    """A tar of a root: the machine's busybox and a page to serve."""
    if not BUSYBOX.exists():
        raise RuntimeError(f"{BUSYBOX} is missing: make setup installs busybox-static")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp", "www"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, data, mode in (("bin/busybox", BUSYBOX.read_bytes(), 0o755), ("www/index.html", PAGE, 0o644)):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def free_port() -> int:
    """A TCP port that nobody has on the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def free_subnet() -> str:
    """An address for the bridge in a network that no link of the machine is in."""
    ip = shutil.which("ip", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or "ip"
    routes = subprocess.run([ip, "-4", "route"], capture_output=True, text=True, check=True).stdout
    for third in range(200, 255):
        if f"10.213.{third}." not in routes:
            return f"10.213.{third}.1/24"
    raise RuntimeError("no free subnet for the demo's bridge")


def fetch(url: str) -> str:
    """The page, once the server inside has come up."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                body: bytes = response.read()
                return body.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
