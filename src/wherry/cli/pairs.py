"""name=value texts: from options, from env files, from label files."""

from __future__ import annotations

import os


def pairs(values: list[str]) -> dict[str, str]:
    """{"a": "b"} of ["a=b"]."""
    found = {}
    for one in values:
        name, _, value = one.partition("=")
        found[name] = value
    return found


def read_pairs(files: list[str], given: list[str], *, environment: bool) -> list[str]:
    """Lines of env or label files, then what was given. A name alone takes our environment's value or is left out."""
    return [line for path in files for line in _pairs_of(path, environment=environment)] + given


def _pairs_of(path: str, *, environment: bool) -> list[str]:
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        raise ValueError(f"open {path}: {(error.strerror or '').lower()}") from error
    found = []
    for number, data in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = data.removesuffix(b"\r").decode().lstrip()
        except UnicodeDecodeError:
            shown = " ".join(str(byte) for byte in data)
            raise ValueError(f"invalid env file ({path}): invalid utf8 bytes at line {number}: [{shown}]") from None
        if not line or line[0] == "#":
            continue
        name, has_value, _ = line.partition("=")
        if not name:
            raise ValueError(f"invalid env file ({path}): no variable name on line '{line}'")
        if " " in name or "\t" in name:
            raise ValueError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if has_value:
            found.append(line)
        elif environment and name in os.environ:
            found.append(f"{name}={os.environ[name]}")
    return found
