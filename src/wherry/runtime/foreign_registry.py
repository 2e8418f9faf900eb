"""The runtimes that ``--runtime`` can name.

Our own, runc and crun where they are installed, and those of the settings:

runtimes = Runtimes(configured, default="wherry", root=exec_root / "runtimes")
runtimes.words("runc")      ("/usr/sbin/runc", "--root", "<exec-root>/runtimes/runc"); () is ours
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.lib.errors import InvalidArgument

OWN = "wherry"
COMMAND = "wherry-oci"
"""Our own runtime as a command, for other engines."""
_OFFERED = ("runc", "crun")
_SHIM = "io.containerd.runc.v2"
"""containerd's name for runc, which Docker takes too."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Known:
    """A runtime of the settings."""

    path: str
    arguments: tuple[str, ...] = ()


class Runtimes:
    """See the module. Raises InvalidArgument for a default that is none of them."""

    def __init__(self, configured: Mapping[str, Known], *, default: str = OWN, root: Path, search: str = "") -> None:
        search = search or _search()
        found = {name: Known(name) for name in _OFFERED if shutil.which(name, path=search)}
        if "runc" in found:
            found[_SHIM] = Known("runc")
        self._known = {**found, **configured}
        self._root = root
        self._search = search
        self.default = default
        if default not in self.names:
            raise InvalidArgument(f"specified default runtime '{default}' does not exist")

    @property
    def names(self) -> Collection[str]:
        """What ``--runtime`` may say."""
        return [OWN, *self._known]

    def shown(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Name, program and arguments of each, for ``docker info``."""
        return [(OWN, COMMAND, ()), *((name, known.path, known.arguments) for name, known in self._known.items())]

    def words(self, name: str) -> tuple[str, ...]:
        """The command, with the directory for its state; nothing for our own. Raises InvalidArgument.

        A program that is not there stays a bare word: it is said when it is called.
        """
        if name in (OWN, ""):
            return ()
        try:
            known = self._known[name]
        except KeyError:
            raise InvalidArgument(f"unknown or invalid runtime name: {name}") from None
        path = known.path if "/" in known.path else shutil.which(known.path, path=self._search) or known.path
        return (path, *known.arguments, "--root", str(self._root / name))


def _search() -> str:
    """The daemon's own PATH, and behind it where such programs usually are."""
    return f"{os.environ.get('PATH', '')}:{_PATH}"


def find_init() -> str:
    """The program for ``--init``: Docker's, which is tini, linked statically to run in any image.

    Raises InvalidArgument in dockerd's words.
    """
    for name in ("docker-init", "tini-static"):
        if path := shutil.which(name, path=_search()):
            return path
    raise InvalidArgument(
        'exec: "docker-init": executable file not found in $PATH: another runtime than wherry needs it for --init '
        "(Debian's package tini)"
    )
