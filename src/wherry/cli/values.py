"""Readers of single option values: text in, value out, ``ValueError`` with docker's words.

Options name them in their ``check`` column. ``cli/commands/container/`` puts the values together.
"""

from __future__ import annotations

import os

from wherry.cli.flags import integer
from wherry.cli.format.units import ram_in_bytes
from wherry.cli.pairs import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from typing import Any
else:
    import _socket

_NANO = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)


def ram(text: str) -> int:
    """A size: 512m."""
    return ram_in_bytes(text)


def swap(text: str) -> int:
    """A size, or -1 for no limit."""
    return -1 if text == "-1" else ram_in_bytes(text)


def uint16(text: str) -> int:
    """0 to 65535."""
    return integer(text, unsigned=True, bits=16)


def uint64(text: str) -> int:
    """A whole number, not negative."""
    return integer(text, unsigned=True)


def duration(text: str) -> int:
    """Nanoseconds of "1h30m", "1.5s", "-10ms"."""
    shown = f'"{text}"'
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {shown}")
    total = 0
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        if not number.strip(".") or number.count(".") > 1:
            raise ValueError(f"time: invalid duration {shown}")
        unit = rest[: len(rest) - len(rest.lstrip("nuµμmsh"))]
        if not unit:
            bad = rest.rstrip("0123456789.")
            raise ValueError(
                f'time: unknown unit "{bad}" in duration {shown}' if bad else f"time: missing unit in duration {shown}"
            )
        if unit not in _NANO:
            raise ValueError(f'time: unknown unit "{unit}" in duration {shown}')
        rest = rest[len(unit) :]
        whole, _, fraction = number.partition(".")
        total += int(whole or 0) * _NANO[unit] + int(fraction or 0) * _NANO[unit] // 10 ** len(fraction)
    return -total if text[0] == "-" else total


def cpus(text: str) -> int:
    """Billionths of a CPU: "1.5"."""
    from fractions import Fraction

    try:
        nano = Fraction(text) * 10**9
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if nano.denominator != 1:
        raise ValueError("value is too precise")
    return nano.numerator


def env(text: str) -> str:
    """NAME=value, or NAME whose value is taken from our own environment."""
    name, found, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    own = os.environ.get(name)
    return text if found or own is None else f"{name}={own}"


def label(text: str) -> str:
    """name=value."""
    name = text.partition("=")[0].lstrip(" \t")
    if not name:
        raise ValueError(f"invalid label '{text}': empty name")
    if " " in name or "\t" in name:
        raise ValueError(f"label '{name}' contains whitespaces")
    return text


def ip_address(text: str) -> str:
    """An address, written the shortest way."""
    stripped = text.strip()
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            packed = _socket.inet_pton(family, stripped)
        except (OSError, ValueError):
            continue
        if packed[:12] == b"\0" * 10 + b"\xff\xff":
            return _socket.inet_ntop(_socket.AF_INET, packed[12:])
        return _socket.inet_ntop(family, packed)
    raise ValueError(f"IP address is not correctly formatted: {text}")


def is_ip(text: str) -> bool:
    """Whether it is an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def mac_address(text: str) -> str:
    """A hardware address."""
    stripped = text.strip()
    for separator, digits, groups in ((":", 2, (6, 8, 20)), ("-", 2, (6, 8, 20)), (".", 4, (3, 4, 10))):
        parts = stripped.split(separator)
        if len(parts) in groups and all(len(part) == digits and _is_hex(part) for part in parts):
            return text
    raise ValueError(f"{text} is not a valid mac address")


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def dns_search(text: str) -> str:
    """A domain, or "." for none."""
    domain = text.strip(" ")
    if domain == ".":
        return domain
    name = domain.rstrip().removesuffix(".")
    good = any(character.isascii() and character.isalpha() for character in name) and len(name) < 255
    if not good or not all(_is_label(part) for part in name.split(".")):
        raise ValueError(f"{domain} is not a valid domain")
    return name


def _is_label(part: str) -> bool:
    return bool(part) and part.isascii() and part.replace("-", "a").isalnum() and part[0] != "-" and part[-1] != "-"


def extra_host(text: str) -> str:
    """name:address or name=address, as name:address."""
    name, found, address = text.partition("=") if "=" in text else text.partition(":")
    if not found or not name or ":" in name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address != "host-gateway":
        if len(address) > 2 and address[0] == "[" and address[-1] == "]":
            address = address[1:-1]
        if not is_ip(address):
            raise ValueError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{address}"


def link(text: str) -> str:
    """Container or container:alias."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def sysctl(text: str) -> str:
    """name=value of a kernel setting that containers have for themselves."""
    name, found, _ = text.partition("=")
    if not found or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def attach(text: str) -> str:
    """A stream's name."""
    if text.lower() not in {"stdin", "stdout", "stderr"}:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def cgroup_rule(text: str) -> str:
    """Type major:minor access, as "c 1:3 rwm"."""
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    good = kind in {"a", "c", "b"} and colon and 1 <= len(access) <= 3 and not access.strip("rwm")
    if not good or not all(one == "*" or (one.isascii() and one.isdigit()) for one in (major, minor)):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def weight_device(text: str) -> dict[str, object]:
    """/dev/x:weight."""
    path, rate = _device(text)
    try:
        weight = integer(rate, unsigned=True, bits=16)
    except ValueError:
        weight = -1
    if weight < 0 or 0 < weight < 10 or weight > 1000:
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": weight}


def rate_device(text: str) -> dict[str, object]:
    """/dev/x:bytes per second."""
    path, rate = _device(text)
    try:
        return {"Path": path, "Rate": ram_in_bytes(rate)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a"
            " positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def iops_device(text: str) -> dict[str, object]:
    """/dev/x:operations per second."""
    path, rate = _device(text)
    if not rate.isascii() or not rate.isdigit():
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive"
            " integer"
        )
    return {"Path": path, "Rate": int(rate)}


def _device(text: str) -> tuple[str, str]:
    path, found, rate = text.partition(":")
    if not found or not path:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, rate


def ulimit(text: str) -> dict[str, object]:
    """name=soft[:hard]."""
    name, found, limits = text.partition("=")
    if not found:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    numbers = [_decimal(part) for part in reversed(parts)]
    hard, soft = numbers[0], numbers[-1]
    if hard != -1:
        if soft == -1:
            raise ValueError(
                f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
            )
        if soft > hard:
            raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def _decimal(text: str) -> int:
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def fields(text: str) -> list[str]:
    """One line of comma-separated values; a field in double quotes may hold commas."""
    found: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            value, rest = _quoted(rest)
        else:
            end = rest.find(",")
            value, rest = (rest, "") if end < 0 else (rest[:end], rest[end:])
            if '"' in value:
                raise ValueError('parse error on line 1, column 1: bare " in non-quoted-field')
        found.append(value)
        if not rest:
            return found
        rest = rest[1:]


def _quoted(text: str) -> tuple[str, str]:
    value = ""
    at = 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise ValueError('parse error on line 1, column 1: extraneous or missing " in quoted-field')
        value += text[at:end]
        if text.startswith('""', end):
            value += '"'
            at = end + 2
            continue
        rest = text[end + 1 :]
        if rest and not rest.startswith(","):
            raise ValueError('parse error on line 1, column 1: extraneous or missing " in quoted-field')
        return value, rest


def boolean(text: str) -> bool:
    """As strconv.ParseBool."""
    if text in {"1", "t", "T", "TRUE", "true", "True"}:
        return True
    if text in {"0", "f", "F", "FALSE", "false", "False"}:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def mount(text: str) -> dict[str, Any]:
    """The API's Mount of type=bind,source=…"""
    from wherry.cli.mounts import parse_mount

    return parse_mount(text)


def network(text: str) -> dict[str, Any]:
    """A network to join, by name or as name=…,alias=…,ip=…"""
    from wherry.cli.endpoints import parse_network

    return parse_network(text)


def gpus(text: str) -> dict[str, Any]:
    """The API's DeviceRequest of "all", "2" or driver=…,capabilities=…"""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    seen = set()
    for field in fields(text):
        name, found, value = field.partition("=")
        if name in seen:
            raise ValueError(f"gpu request key '{name}' can be specified only once")
        seen.add(name)
        if not found:
            seen.add("count")
            request["Count"] = _count(name)
        elif name == "driver":
            request["Driver"] = value
        elif name == "count":
            request["Count"] = _count(value)
        elif name == "device":
            request["DeviceIDs"] = value.split(",")
        elif name == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif name == "options":
            request["Options"] = pairs(fields(value))
        else:
            raise ValueError(f"unexpected key '{name}' in '{field}'")
    if "count" not in seen and request["DeviceIDs"] is None:
        request["Count"] = 1
    return request


def _count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return _decimal(text)
    except ValueError:
        raise ValueError(f'invalid count ({text}): value must be either "all" or an integer: invalid syntax') from None
