"""A rootless daemon under test: an ordinary user's, who exists in the test's own mount namespace only."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import wherry
from support import leaks
from support.commands import eventually
from support.daemons import Wherryd

UID = 41234
NEEDED = ("newuidmap", "newgidmap", "slirp4netns", "setpriv", "unshare")

# The user is in copies of the account files that are mounted over the real ones where only the daemon sees them; the
# checkout is mounted where he can reach it, and /dev/net/tun is his to open, as it is on a desktop.
_SCRIPT = """
set -euo pipefail
for file in passwd group subuid subgid; do mount --bind "$ROOT/etc/$file" "/etc/$file"; done
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/src /mnt/venv
mount --bind "$SOURCE" /mnt/src
mount --bind "$PREFIX" /mnt/venv
cd /
exec setpriv --reuid "$OWNER" --regid "$OWNER" --clear-groups --inh-caps=-all --bounding-set=+all \
    env -u DOCKER_HOST HOME="$ROOT/home" XDG_RUNTIME_DIR="$ROOT/run" PYTHONPATH=/mnt/src /mnt/venv/bin/python "$@"
"""


def rootless_missing() -> str | None:
    """Why there can be no rootless daemon here, or None."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"rootless needs {', '.join(missing)}: run make setup"
    if not os.path.exists("/etc/subuid"):
        return "rootless needs /etc/subuid to mount over"
    if not os.path.exists("/dev/net/tun"):
        return "rootless needs /dev/net/tun, which this kernel does not have"
    return None


class User:
    """An ordinary user with a home and a runtime directory below ``root``."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        root.chmod(0o755)
        for folder in ("home", "run", "etc"):
            (root / folder).mkdir()
        for folder in ("home", "run"):
            os.chown(root / folder, UID, UID)
        self._write_accounts(root / "etc")
        (root / "user.sh").write_text(_SCRIPT)

    def python(self, *words: str) -> list[str]:
        """The command line that runs this environment's python as the user."""
        source = Path(wherry.__file__).parents[1]
        variables = [f"ROOT={self.root}", f"SOURCE={source}", f"OWNER={UID}", f"PREFIX={sys.prefix}"]
        script = str(self.root / "user.sh")
        return ["env", *variables, "unshare", "--mount", "--propagation", "private", "bash", script, *words]

    def _write_accounts(self, folder: Path) -> None:
        for name, line in (
            ("passwd", f"{self.name}:x:{UID}:{UID}::{self.root}/home:/bin/sh"),
            ("group", f"{self.name}:x:{UID}:"),
            ("subuid", f"{self.name}:300000:65536"),
            ("subgid", f"{self.name}:300000:65536"),
        ):
            (folder / name).write_text(f"{Path('/etc', name).read_text()}{line}\n")


class Rootless(Wherryd):
    """Ours, by ``wherryd-rootless``."""

    kind = "wherryd-rootless"

    def __init__(self, *, extra: tuple[str, ...] = ()) -> None:
        super().__init__(extra=extra)
        self.user = User(self.name, Path(self.root))
        self.socket = f"{self.root}/run/wherry.sock"
        self.host = f"unix://{self.socket}"
        self.data_root = f"{self.root}/home/.local/share/wherry"
        self.exec_root = f"{self.root}/run/wherry/exec"

    def argv(self) -> list[str]:
        return self.user.python("-m", "wherry.daemon.rootless.main", "--name", self.name, "--bip", "172.29.6.1/24")

    def uid_of(self, pid: int) -> int:
        """Who runs a process, as the machine sees it."""
        return os.stat(f"/proc/{pid}").st_uid

    def discard(self) -> None:
        """With the last process go the namespaces, and the mounts in them."""
        if self.running:
            self.kill9()
        for line in leaks.processes(self.name, self.root):
            try:
                os.kill(int(line.split()[0]), signal.SIGKILL)
            except ProcessLookupError:
                continue
        eventually("its processes end", lambda: not leaks.processes(self.name, self.root), within=5)
        self.box.remove()
        shutil.rmtree(self.root, ignore_errors=True)
