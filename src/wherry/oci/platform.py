"""Platforms as people write them, and which of an index fits: the rules of containerd's ``platforms`` that Docker uses.

    os[/architecture[/variant]]        linux/arm64/v8; a lone word is either

A machine also runs what its forerunners ran: amd64 takes 386, arm v7 takes v6 and v5, arm64 takes arm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from wherry.lib.errors import InvalidArgument
from wherry.oci.manifest import Descriptor, Platform, host_platform

_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux netbsd openbsd plan9 solaris windows zos".split()
)
_ARCHITECTURES = frozenset(
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le"
    " ppc riscv riscv64 s390 s390x sparc sparc64 wasm".split()
)
_ALIASES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_DEFAULT_VARIANTS = {"arm": "v7"}
_IMPLIED_VARIANTS = {"arm64": ("8", "v8"), "amd64": ("v1",)}


def parse_platform(text: str) -> Platform:
    """What ``text`` names. Raises InvalidArgument in Docker's words."""
    parts = text.split("/")
    for part in parts:
        if not _COMPONENT.fullmatch(part):
            raise InvalidArgument(
                f'"{part}" is an invalid component of "{text}": platform specifier component must match '
                f'"^{_COMPONENT.pattern}$": invalid argument'
            )
    if len(parts) > 3:
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument')
    if len(parts) == 1:
        return _lone(text)
    variant = parts[2].lower() if len(parts) == 3 else ""
    return normalize(Platform(os=_system(parts[0]), architecture=parts[1], variant=variant))


def _lone(text: str) -> Platform:
    system = _system(text)
    if system in _SYSTEMS:
        return normalize(Platform(os=system, architecture=host_platform().architecture))
    found = normalize(Platform(os="linux", architecture=text))
    if found.architecture in _ARCHITECTURES:
        return found
    raise InvalidArgument(f'"{text}": unknown operating system or architecture: invalid argument')


def _system(text: str) -> str:
    return "darwin" if text.lower() == "macos" else text.lower()


def normalize(platform: Platform) -> Platform:
    """The one spelling of several: aarch64 is arm64, arm without a variant v7, arm64 v8 is what arm64 means."""
    architecture = platform.architecture.lower()
    variant = platform.variant.lower()
    if architecture in _ALIASES:
        architecture, implied = _ALIASES[architecture]
        variant = variant or implied
    if variant in _IMPLIED_VARIANTS.get(architecture, ()):
        variant = ""
    if architecture == "arm":
        variant = f"v{variant}" if variant in {"5", "6", "7", "8"} else variant or _DEFAULT_VARIANTS["arm"]
    return Platform(
        os=platform.os.lower() or "linux",
        architecture=architecture,
        variant=variant,
        os_version=platform.os_version,
        os_features=platform.os_features,
    )


def show_platform(platform: Platform) -> str:
    """``linux/arm/v7``."""
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


def fits(offered: Platform, wanted: Platform) -> bool:
    """Whether what is ``offered`` runs on ``wanted``."""
    return _rank(offered, wanted) is not None


def best_match(manifests: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """The manifest that fits ``wanted`` best: the first of the nearest platform, or one that names no platform."""
    ranked = []
    for number, descriptor in enumerate(manifests):
        rank = len(_ARCHITECTURES) if descriptor.platform is None else _rank(descriptor.platform, wanted)
        if rank is not None:
            ranked.append((rank, number))
    return manifests[min(ranked)[1]] if ranked else None


def _rank(offered: Platform, wanted: Platform) -> int | None:
    """0 for just what is wanted, more for a forerunner, None for what does not run there."""
    given = normalize(offered)
    for rank, platform in enumerate(_runs(normalize(wanted))):
        if (given.os, given.architecture, given.variant) == (platform.os, platform.architecture, platform.variant):
            return rank
    return None


def _runs(platform: Platform) -> Iterator[Platform]:
    """All that ``platform`` runs, the best first."""
    yield platform
    system, architecture, variant = platform.os, platform.architecture, platform.variant
    level = int(variant[1:]) if re.fullmatch(r"v[0-9]{1,2}", variant) else 0
    if architecture == "amd64":
        yield from (
            normalize(Platform(os=system, architecture="amd64", variant=f"v{n}")) for n in range(level - 1, 0, -1)
        )
        yield Platform(os=system, architecture="386")
    elif architecture == "arm":
        yield from (Platform(os=system, architecture="arm", variant=f"v{n}") for n in range(level - 1, 4, -1))
    elif architecture == "arm64":
        yield from (Platform(os=system, architecture="arm", variant=f"v{n}") for n in range(level or 8, 4, -1))
