"""What the daemon's security settings need of the machine."""

from __future__ import annotations

import logging
from pathlib import Path

from wherry.lib.errors import InvalidArgument
from wherry.runtime import selinux
from wherry.runtime.spec_security import BUILTIN, BUILTIN_SECCOMP, UNCONFINED, Seccomp

_LONGEST_PROFILE = 16 << 20

_log = logging.getLogger(__name__)


def load_seccomp(setting: str) -> Seccomp | None:
    """The filter of every container that does not say otherwise. Raises InvalidArgument in dockerd's words."""
    if setting in ("", BUILTIN):
        return BUILTIN_SECCOMP
    if setting == UNCONFINED:
        return None
    try:
        with Path(setting).open("rb") as file:
            return Seccomp(file.read(_LONGEST_PROFILE))
    except OSError as error:
        reason = f"open {setting}: {(error.strerror or '').lower()}"
        raise InvalidArgument(f"opening seccomp profile ({setting}) failed: {reason}") from None


def selinux_ready(*, asked: bool) -> bool:
    """Whether containers get labels: they are wanted, and the machine has them."""
    if asked and not selinux.enabled():
        _log.warning("SELinux could not be enabled: the host has none")
        return False
    return asked
