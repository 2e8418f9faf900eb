"""No control groups: what an ordinary user's daemon has where none was delegated to it."""

from __future__ import annotations

from wherry.linux.cgroups.base import Cgroups
from wherry.linux.cgroups.detect import open_hierarchy
from wherry.linux.cgroups.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from wherry.linux.cgroups.stats import CgroupStats

_REASON = "no control group is delegated to this user: limits, pause, stats and OOM reports cannot be had"


class NoCgroups(Cgroups):
    """Nothing is made, nothing is found, and what would need a group is refused with the reason. Paths are empty."""

    def __init__(self) -> None:
        super().__init__([], rootless=True)

    def children(self, path: str) -> list[str]:  # noqa: ARG002
        """None."""
        return []

    def create(self, path: str, pid: int | None = None, annotations: Mapping[str, str] | None = None) -> None:
        """Nothing to make."""

    def apply(self, path: str, resources: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Raises CgroupError if there is anything to set."""
        if resources:
            _refuse()

    def delegate(self, path: str, uid: int) -> None:
        """Nothing to give."""

    def procs(self, path: str) -> list[int]:  # noqa: ARG002
        """None that are known."""
        return []

    def kill(self, path: str, *, timeout: float = 0.0) -> None:
        """Nothing to kill."""

    def remove(self, path: str, *, timeout: float = 0.0) -> None:
        """Nothing to remove."""

    def freeze(self, path: str, *, timeout: float = 0.0) -> None:  # noqa: ARG002
        """Raises CgroupError."""
        _refuse()

    def thaw(self, path: str, *, timeout: float = 0.0) -> None:  # noqa: ARG002
        """Raises CgroupError."""
        _refuse()

    def frozen(self, path: str) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def oom_count(self, path: str) -> int:  # noqa: ARG002
        """None that are known."""
        return 0

    def oom_events(self, path: str) -> int:  # noqa: ARG002
        """Raises CgroupError."""
        _refuse()

    def stats(self, path: str) -> CgroupStats:  # noqa: ARG002
        """Raises CgroupError."""
        _refuse()

    def _resolve(self, cgroups_path: str, container_id: str) -> str:  # noqa: ARG002
        return ""


def _refuse() -> NoReturn:
    raise CgroupError(_REASON)


def usable_cgroups(parent: str) -> Cgroups:
    """The machine's control groups if we may make ``/parent`` there, else none. Raises CgroupError without any."""
    cgroups = open_hierarchy()
    if cgroups.rootless and not cgroups.may_make(f"/{parent}"):
        return NoCgroups()
    return cgroups
