"""`make demo-rootless`: the same for an ordinary user: run, exec, and a page through a published port, without root.

It starts `wherryd-rootless` with a runtime and a data directory of the demo's own, and takes everything away again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from first_light import BIN, fetch, free_port, removed_afterwards, root_file_system, say, stop, wait_for_socket, wherry


def main() -> int:
    """Run the demo. 0 when the page came."""
    if os.geteuid() == 0:
        print("make demo-rootless is for an ordinary user: run it as one (see docs/rootless.md)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="wherry-demo-") as root, daemon(Path(root)) as host:
        environ = {**os.environ, "DOCKER_HOST": host}
        wherry(environ, "import", "-", "demo/busybox:latest", stdin=root_file_system())
        port = free_port()
        with removed_afterwards(environ, "rootless"):
            publish = f"127.0.0.1:{port}:80"
            command = ("busybox", "httpd", "-f", "-p", "80", "-h", "/www")
            wherry(environ, "run", "-d", "--name", "rootless", "-p", publish, "demo/busybox:latest", *command)
            wherry(environ, "exec", "rootless", "busybox", "sh", "-c", "echo inside I am $(busybox id -u)")
            say("id -u")
            print(f"outside I am {os.getuid()}", flush=True)
            url = f"http://127.0.0.1:{port}/"
            say(f"fetch {url}")
            print(fetch(url), end="")
    say("everything is cleaned up")
    return 0


@contextlib.contextmanager
def daemon(root: Path) -> Iterator[str]:
    """A wherryd-rootless of the demo's own, by its socket's address; ended by SIGTERM, and its namespaces with it."""
    runtime = root / "run"
    runtime.mkdir()
    socket = runtime / "wherry.sock"
    words = ["-m", "wherry.daemon.rootless.main", "--name", f"wd{secrets.token_hex(3)}"]
    say(shlex.join([f"XDG_RUNTIME_DIR={runtime}", "wherryd-rootless", *words[2:]]))
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "XDG_DATA_HOME": str(root / "data")}
    with (root / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "python"), *words], env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_for_socket(socket, process)
        yield f"unix://{socket}"
    except BaseException:
        print((root / "daemon.log").read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        stop(process)


if __name__ == "__main__":
    sys.exit(main())
