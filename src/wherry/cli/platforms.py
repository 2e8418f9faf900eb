"""Platforms as people write them, os[/arch[/variant]], as the API wants them and as lists show them."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.client.jsonio import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
}
_VARIANTS = {"armhf": "v7", "armel": "v6"}
_USUAL = {"arm": "v7", "arm64": "v8"}
_KNOWN = frozenset("386 amd64 arm arm64 loong64 mips64 mips64le ppc64 ppc64le riscv64 s390x wasm".split())
_SYSTEMS = frozenset("darwin freebsd linux windows".split())


def parse(text: str) -> dict[str, str]:
    """The platform's members. Raises ``ValueError`` in docker's words."""
    parts = text.split("/")
    for part in parts:
        if not part or not set(part) <= _PLAIN:
            raise ValueError(
                f'"{part}" is an invalid component of "{text}": platform specifier component must match '
                '"^[A-Za-z0-9_.-]+$": invalid argument'
            )
    if len(parts) > 3:
        raise ValueError(f'"{text}": cannot parse platform specifier: invalid argument')
    if len(parts) == 1:
        return _alone(parts[0].lower(), text)
    architecture, variant = _normal(parts[1].lower(), parts[2].lower() if len(parts) > 2 else "")
    if len(parts) > 2 and architecture in _USUAL and not variant:
        variant = _USUAL[architecture]
    return _members(parts[0].lower(), architecture, variant)


def as_json(text: str, complaint: str = "invalid platform: ") -> str:
    """The platform as the API wants it. Raises ``CliError``, beginning with ``complaint``."""
    try:
        return dumps(parse(text))
    except ValueError as error:
        raise CliError(f"{complaint}{error}") from error


def shown(platform: Mapping[str, str]) -> str:
    """os/arch/variant, as lists show it."""
    system = platform.get("os", "")
    if not system:
        return "unknown"
    parts = (system, platform.get("architecture", ""), platform.get("variant", ""))
    return "/".join(part for part in parts if part)


def _members(system: str, architecture: str, variant: str) -> dict[str, str]:
    every = {"architecture": architecture, "os": system, "variant": variant}
    return {name: value for name, value in every.items() if value}


def _normal(architecture: str, variant: str) -> tuple[str, str]:
    """The architecture's one name; a variant that goes without saying is left out."""
    variant = variant or _VARIANTS.get(architecture, "")
    name = _ARCHITECTURES.get(architecture, architecture)
    if variant.isdecimal():
        variant = f"v{variant}"
    if variant == _USUAL.get(name) or (name == "amd64" and variant == "v1"):
        variant = ""
    return name, variant


def _alone(word: str, text: str) -> dict[str, str]:
    """One word is a system, whose architecture is this machine's, or an architecture of Linux."""
    if word in _SYSTEMS:
        import os

        return _members(word, *_normal(os.uname().machine, ""))
    if word in _KNOWN or word in _ARCHITECTURES:
        return _members("linux", *_normal(word, ""))
    raise ValueError(f'"{text}": unknown operating system or architecture: invalid argument')
