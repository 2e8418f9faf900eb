"""Seccomp profiles as Docker writes them, compiled by libseccomp and kept: compiling takes 18 ms, loading 0.6.

``ProfileCache(directory).get(None, capabilities)`` is the default profile for these capabilities;
``seccomp_load.load`` puts it on the container's init, at the last moment.
"""

from __future__ import annotations

import hashlib
import os
import platform as _platform
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from wherry.lib.atomic import write_file
from wherry.lib.errors import InvalidArgument
from wherry.linux import libseccomp
from wherry.linux.seccomp_profile import Argument, Platform, Rule, Rules, reduce_profile
from wherry.linux.seccomp_stub import enosys_stub

DEFAULT_PROFILE = Path(__file__).with_name("seccomp-default.json")

# machine of uname(2) → Go's name, as profiles have it, and libseccomp's
_ARCHES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "i686": ("386", "SCMP_ARCH_X86"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "loongarch64": ("loong64", "SCMP_ARCH_LOONGARCH64"),
}
_ENOSYS = 38
_ERRNO = 0x00050000
_FORMAT = 1
"""Goes up when this code makes other programs from the same profile."""


@lru_cache(maxsize=1)
def default_profile() -> bytes:
    """Docker's default profile."""
    return DEFAULT_PROFILE.read_bytes()


def this_platform() -> Platform:
    """The machine that this process runs on, without capabilities."""
    arch, scmp_arch = _ARCHES.get(_platform.machine(), (_platform.machine(), ""))
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return Platform(arch, scmp_arch, (int(release[1]), int(release[2])) if release else (0, 0))


def compile_profile(profile: bytes | None, capabilities: Collection[str]) -> bytes:
    """The BPF of a profile (JSON; None is the default) for a process with ``capabilities`` (``CAP_…``).

    Empty when the profile confines nothing. Raises InvalidArgument for a profile that makes no sense and Unavailable
    without libseccomp.
    """
    data = default_profile() if profile is None else profile
    rules = reduce_profile(data, this_platform().having(capabilities))
    if rules is None:
        return b""
    tokens = [_token(name) for name in rules.architectures] or [libseccomp.native_arch()]
    with libseccomp.Filter(rules.default_action) as program:
        for token in tokens:
            program.add_arch(token)
        for rule in rules.rules:
            if rule.action != rules.default_action:
                _add(program, rule)
        return _stub(rules, tokens) + program.export()


class ProfileCache:
    """Compiled profiles in a directory of their own, one file each, named by all that went into it.

    A file is 32 bytes of SHA-256 and the program; one that does not verify is made anew.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._memory: dict[str, bytes] = {}

    def get(self, profile: bytes | None, capabilities: Collection[str]) -> bytes:
        """As ``compile_profile``, at once for what was asked before. Blocks for 20 ms otherwise."""
        data = default_profile() if profile is None else profile
        key = self._key(data, capabilities)
        if key not in self._memory:
            self._memory[key] = self._load(key) or self._make(key, data, capabilities)
            while len(self._memory) > 64:
                del self._memory[next(iter(self._memory))]
        return self._memory[key]

    def _key(self, data: bytes, capabilities: Iterable[str]) -> str:
        machine = f"{_FORMAT} {libseccomp.version()} {this_platform()}"
        parts = (hashlib.sha256(data).hexdigest(), " ".join(sorted(set(capabilities))), machine)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _load(self, key: str) -> bytes:
        try:
            fd = os.open(self._directory / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return b""
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_uid != os.geteuid():
                return b""
            stored = file.read(32 + 8 * 4096 + 1)
        program = stored[32:]
        return program if hashlib.sha256(program).digest() == stored[:32] else b""

    def _make(self, key: str, data: bytes, capabilities: Collection[str]) -> bytes:
        program = compile_profile(data, capabilities)
        # A cache that cannot be written (disk full) must not keep a container from starting.
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._directory / key, hashlib.sha256(program).digest() + program)
        return program


def _token(name: str) -> int:
    token = libseccomp.arch(name)
    if not token:
        raise InvalidArgument(f"seccomp profile: architecture SCMP_ARCH_{name.upper()} is not known on this machine")
    return token


def _add(program: libseccomp.Filter, rule: Rule) -> None:
    """Conditions on different arguments must all hold; several on one argument are alternatives, as ever in runc."""
    conditions = [_condition(argument) for argument in rule.arguments]
    indexes = [argument.index for argument in rule.arguments]
    alternatives = [[one] for one in conditions] if len(set(indexes)) < len(indexes) else [conditions]
    for name in rule.names:
        number = libseccomp.syscall(name)
        if number is None:
            continue  # newer than the library, or of another architecture: see seccomp_stub
        for conditions in alternatives:
            program.add_rule(rule.action, number, conditions)


def _condition(argument: Argument) -> libseccomp.Condition:
    return libseccomp.Condition(argument.index, argument.op, argument.value, argument.value_two)


def _stub(rules: Rules, tokens: list[int]) -> bytes:
    if rules.default_action == _ERRNO | _ENOSYS or not _denies(rules.default_action):
        return b""
    names = {name for rule in rules.rules for name in rule.names}
    last = {token: max((libseccomp.syscall(name, token) or 0 for name in names), default=0) for token in tokens}
    return enosys_stub({token: number for token, number in last.items() if number > 0})


def _denies(action: int) -> bool:
    """Whether an action keeps the syscall from running; ALLOW, LOG and TRACE let it run."""
    return action < 0x7FF00000 or action >= 0x80000000
