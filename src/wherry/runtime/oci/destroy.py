"""The end of a container: its processes, its control group, its record, then the hooks that hear of it."""

from __future__ import annotations

from wherry.linux.cgroups import CgroupError
from wherry.runtime import hooks
from wherry.runtime.init_errors import StartError
from wherry.runtime.oci.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups import Cgroups
    from wherry.runtime.oci.report import Report
    from wherry.runtime.oci.store import Container


def destroy(container: Container, cgroups: Cgroups, report: Report) -> None:
    """Take away what is left of a container whose init is gone. Raises Failure for what cannot be removed."""
    path = container.cgroup
    if path:
        try:
            if not container.own_pid_namespace:
                cgroups.kill(path)
            cgroups.remove(path)
        except CgroupError as error:
            raise Failure(str(error)) from error
    container.remove()
    run_all(container, "poststop", container.state("stopped", 0), report)


def run_all(container: Container, where: str, state: dict[str, object], report: Report) -> None:
    """The hooks whose failures are warnings: the remaining ones run all the same (runtime-spec, lifecycle)."""
    given = (container.config.get("hooks") or {}).get(where) or []
    for number in range(len(given)):
        try:
            hooks.run_one(given, number, state, where=where)
        except StartError as error:
            report.warning(str(error))
