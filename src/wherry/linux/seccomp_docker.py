"""Seccomp profiles as Docker writes them, compiled by libseccomp and kept: compiling takes 18 ms, loading 0.6.

``ProfileCache(directory).get(None, capabilities)`` is the default profile for these capabilities;
``seccomp_load.Loader`` puts it on the container's init, at the last moment.
"""

from __future__ import annotations

import os
import platform as _platform
import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from wherry.lib.errors import InvalidArgument
from wherry.linux import libseccomp, seccomp_cache, seccomp_profile
from wherry.linux.seccomp_compile import UnknownArchitecture, compile_rules
from wherry.linux.seccomp_profile import Platform, reduce_profile

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
_FORMAT = 2
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
    data = _data(profile)
    rules = reduce_profile(data, this_platform().having(capabilities))
    if rules is None:
        return b""
    try:
        return compile_rules(rules)
    except UnknownArchitecture as error:
        raise InvalidArgument(f"seccomp profile: architecture {error}") from error


def oci_profile(profile: bytes | None, capabilities: Collection[str]) -> dict[str, Any] | None:
    """The profile as ``linux.seccomp`` of config.json; None when it confines nothing. Raises InvalidArgument."""
    return seccomp_profile.oci_profile(_data(profile), this_platform().having(capabilities))


def loading(profile: bytes | None) -> dict[str, Any] | None:
    """Of ``oci_profile`` what a runtime has to know that is given a compiled filter. Raises InvalidArgument."""
    return seccomp_profile.loading(_data(profile)) if profile is not None else None


def _data(profile: bytes | None) -> bytes:
    return default_profile() if profile is None else profile


class ProfileCache:
    """Compiled profiles in a directory of their own, see ``seccomp_cache``, named by all that went into them."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._memory: dict[str, bytes] = {}

    def get(self, profile: bytes | None, capabilities: Collection[str]) -> bytes:
        """As ``compile_profile``, at once for what was asked before. Blocks for 20 ms otherwise."""
        data = _data(profile)
        granted = " ".join(sorted(set(capabilities)))
        key = seccomp_cache.key((data.decode("utf-8", "surrogateescape"), granted, f"{_FORMAT} {this_platform()}"))
        if key not in self._memory:
            known = seccomp_cache.load(self._directory, key)
            self._memory[key] = self._make(key, data, capabilities) if known is None else known
            while len(self._memory) > 64:
                del self._memory[next(iter(self._memory))]
        return self._memory[key]

    def _make(self, key: str, data: bytes, capabilities: Collection[str]) -> bytes:
        program = compile_profile(data, capabilities)
        seccomp_cache.store(self._directory, key, program, libseccomp.path())
        return program
