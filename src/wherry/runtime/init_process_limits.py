"""What the kernel grants a process: resource limits, scheduling, memory killer, execution domain.

Read and checked when it is made; ``protect`` sets what needs the rights or the /proc of the host, ``apply`` the rest
on the way to the program. The checks and their words are runc's (its ``specconv`` and ``validate``).
"""

from __future__ import annotations

import os
import resource

from wherry.linux import scheduling
from wherry.runtime.init_errors import Plain, StartError, Step, from_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The kernel's numbering, <asm-generic/resource.h>.
_RLIMITS = {
    name: number
    for number, name in enumerate(
        (
            *("RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS"),
            *("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING"),
            *("RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME"),
        )
    )
}
_POLICIES = {
    name: number
    for number, name in enumerate(
        ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE")
    )
}
_POLICY_FLAGS = {
    name: 1 << number
    for number, name in enumerate(
        (
            *("SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY"),
            *("SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"),
        )
    )
}
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_DOMAINS = {"LINUX": scheduling.PER_LINUX, "LINUX32": scheduling.PER_LINUX32}

_MAX_CPU = 1 << 16
_RLIM_SIGN = 1 << 63


class Limits:
    """Of one process. Raises StartError for what makes no sense.

    The policy is set in the cgroup, whose real-time budget it has to fit; for root of a user namespace, who may not,
    before.
    """

    def __init__(self, process: dict[str, Any], config: dict[str, Any], *, is_exec: bool, user_namespace: bool) -> None:
        self._rlimits = _read_rlimits(process.get("rlimits") or ())
        self._scheduler = _read_scheduler(process.get("scheduler"))
        self._io_priority = _read_io_priority(process.get("ioPriority"))
        self._domain = _read_domain((config.get("linux") or {}).get("personality"))
        affinity = (process.get("execCPUAffinity") or {}) if is_exec else {}
        self._initial_cpus = _read_cpus(affinity.get("initial") or "", "Initial")
        self._final_cpus = _read_cpus(affinity.get("final") or "", "Final")
        self._process = process
        self._early = user_namespace and not self._is_for_itself

    def protect(self) -> None:
        """While our rights and /proc are the host's: root of a user namespace could not do it any more."""
        _set_cpus(self._initial_cpus, "initial")
        score = self._process.get("oomScoreAdj")
        if score is not None:
            with Step("failed to update /proc/self/oom_score_adj"):
                _write_changed("/proc/self/oom_score_adj", str(score))
        for number, (_, hard) in self._rlimits.items():
            _raise_hard(number, hard)
        if self._early:
            self._schedule()
        if self._io_priority is not None:
            with Step("failed to set io priority"):
                scheduling.set_io_priority(*self._io_priority)

    def apply(self) -> None:
        """In the cgroup, before a filter or the loss of capabilities forbids it, after all files are open."""
        _set_cpus(self._final_cpus, "final")
        for number, (soft, hard) in self._rlimits.items():
            _set_rlimit(number, soft, hard)
        if self._domain is not None:
            with Step("unable to set personality"):
                scheduling.set_personality(self._domain)
        if not self._early:
            self._schedule()

    @property
    def _is_for_itself(self) -> bool:
        """Whether the policy is not for a process that still forks: it may not, or loses the policy by it."""
        given = self._scheduler or {}
        deadline, reset = _POLICIES["SCHED_DEADLINE"], _POLICY_FLAGS["SCHED_FLAG_RESET_ON_FORK"]
        return given.get("policy") == deadline or bool(given.get("flags", 0) & reset)

    def _schedule(self) -> None:
        if self._scheduler is not None:
            with Step("error setting scheduler"):
                scheduling.set_attributes(**self._scheduler)


def _read_rlimits(limits: Any) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for limit in limits:
        kind = limit["type"]
        if kind not in _RLIMITS:
            raise Plain(f"wrong rlimit value: {kind}")
        if _RLIMITS[kind] in found:
            raise Plain(f"rlimit {kind} is specified twice")
        found[_RLIMITS[kind]] = (_signed(limit["soft"]), _signed(limit["hard"]))
    return found


def _read_scheduler(scheduler: dict[str, Any] | None) -> dict[str, int] | None:
    if scheduler is None:
        return None
    policy = scheduler.get("policy") or ""
    nice, priority = scheduler.get("nice") or 0, scheduler.get("priority") or 0
    times = {name: scheduler.get(name) or 0 for name in ("runtime", "deadline", "period")}
    if not policy:
        raise Plain("scheduler policy is required")
    if policy in ("SCHED_OTHER", "SCHED_BATCH") and not -20 <= nice <= 19:
        raise Plain(f"invalid scheduler.nice: {nice} when scheduler.policy is {policy}")
    if priority and policy not in ("SCHED_FIFO", "SCHED_RR"):
        raise Plain("scheduler.priority can only be specified for SchedFIFO or SchedRR policy")
    if any(times.values()) and policy != "SCHED_DEADLINE":
        raise Plain("scheduler runtime/deadline/period can only be specified for SchedDeadline policy")
    if policy not in _POLICIES:
        raise StartError(f"invalid scheduler policy: {policy}")
    flags = 0
    for flag in scheduler.get("flags") or ():
        if flag not in _POLICY_FLAGS:
            raise StartError(f"invalid scheduler flag: {flag}")
        flags |= _POLICY_FLAGS[flag]
    return {"policy": _POLICIES[policy], "flags": flags, "nice": nice, "priority": priority, **times}


def _read_io_priority(given: dict[str, Any] | None) -> tuple[int, int] | None:
    if given is None:
        return None
    priority = given.get("priority") or 0
    if not 0 <= priority <= 7:
        raise Plain(f"invalid ioPriority.Priority: {priority}")
    kind = given.get("class") or ""
    if kind not in _IO_CLASSES:
        raise Plain(f'invalid ioPriority.Class: "{kind}"')
    return _IO_CLASSES[kind], priority


def _read_domain(personality: dict[str, Any] | None) -> int | None:
    """The specification has room for flags, but defines none."""
    if personality is None:
        return None
    domain = personality.get("domain") or ""
    if domain not in _DOMAINS:
        raise Plain(f"invalid personality domain {domain}")
    return _DOMAINS[domain]


def _read_cpus(text: str, name: str) -> set[int]:
    """``0-3,7`` as a set of processors; empty text is none."""
    cpus: set[int] = set()
    for part in text.replace(" ", "").split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and first.isascii() and (not dash or (last.isdecimal() and last.isascii()))):
            raise Plain(f'bad CPUAffinity.{name}: invalid range "{part}"')
        start, end = int(first), int(last or first)
        if start > end or end > _MAX_CPU:
            raise Plain(f'bad CPUAffinity.{name}: invalid range "{part}"')
        cpus.update(range(start, end + 1))
    return cpus


def _set_cpus(cpus: set[int], name: str) -> None:
    if cpus:
        with Step(f"error setting {name} CPU affinity"):
            os.sched_setaffinity(0, cpus)


def _signed(value: int) -> int:
    """The kernel's unsigned number as ``resource`` takes it: infinity is -1, in JSON 2⁶⁴-1; Docker writes -1 too."""
    return value - 2 * _RLIM_SIGN if value >= _RLIM_SIGN else value


def _above(one: int, other: int) -> bool:
    return other != -1 and (one == -1 or one > other)


def _raise_hard(number: int, hard: int) -> None:
    """Raise the hard limit alone, where it is to be higher."""
    soft, current = resource.getrlimit(number)
    if _above(hard, current):
        _set_rlimit(number, soft, hard)


def _set_rlimit(number: int, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(number, (soft, hard))
    except (ValueError, OSError) as error:
        # CPython's word for EPERM and EINVAL is ValueError here.
        code = getattr(error, "errno", None) or (22 if _above(soft, hard) else 1)
        text = f"error setting rlimits for ready process: error setting rlimit type {number}"
        raise from_errno(text, code) from error


def _write_changed(path: str, value: str) -> None:
    """Write unless it already is so: lowering needs a privilege that standing still does not."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    current = os.read(fd, 64).decode().strip()
    os.close(fd)
    if current != value:
        write(path, value)


def write(path: str, value: str) -> None:
    """Write a kernel file whole, in one call. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
