"""Dockerfile instructions as ``import -c`` and ``commit -c`` take them: each edits the config of the new image."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from wherry.lib.errors import InvalidArgument

Config = dict[str, Any]
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(config: Config, changes: Sequence[str]) -> Config:
    """``config`` after every instruction, in order. Raises InvalidArgument in Docker's words."""
    edited = dict(config)
    seen: set[str] = set()
    for change in changes:
        for line in change.splitlines():
            word, _, rest = line.strip().partition(" ")
            if not word or word.startswith("#"):
                continue
            edit = _INSTRUCTIONS.get(word.lower())
            if edit is None:
                raise InvalidArgument(f"{word.lower()} is not a valid change command")
            edit(edited, rest.strip())
            seen.add(word.lower())
            if "entrypoint" in seen and "cmd" not in seen:
                edited.pop("Cmd", None)  # a new entrypoint makes no sense of the old one's arguments
    return edited


def _cmd(config: Config, text: str) -> None:
    config["Cmd"] = _command(text)


def _entrypoint(config: Config, text: str) -> None:
    config["Entrypoint"] = _command(text)


def _env(config: Config, text: str) -> None:
    environment = list(config.get("Env") or [])
    for key, value in _pairs("ENV", text):
        environment = [one for one in environment if one.partition("=")[0] != key]
        environment.append(f"{key}={value}")
    config["Env"] = environment


def _label(config: Config, text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs("LABEL", text))}


def _expose(config: Config, text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in text.split():
        match = _PORT.fullmatch(word)
        if match is None:
            raise InvalidArgument(f"invalid containerPort: {word}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 < first <= last <= 65535:
            raise InvalidArgument(f"invalid containerPort: {word}")
        ports |= {f"{port}/{(match[3] or 'tcp').lower()}": {} for port in range(first, last + 1)}
    config["ExposedPorts"] = ports


def _volume(config: Config, text: str) -> None:
    paths = _json_words(text)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in (paths or text.split())}}


def _workdir(config: Config, text: str) -> None:
    base = config.get("WorkingDir") or "/"
    config["WorkingDir"] = text if text.startswith("/") else f"{base.rstrip('/')}/{text}"


def _text(member: str) -> Callable[[Config, str], None]:
    def edit(config: Config, text: str) -> None:
        if not text:
            raise InvalidArgument(f"{member.upper()} requires exactly one argument")
        config[member] = text

    return edit


def _on_build(config: Config, text: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or []), text]


def _healthcheck(config: Config, text: str) -> None:
    word, _, rest = text.partition(" ")
    if word.upper() == "NONE":
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if word.upper() != "CMD":
        raise InvalidArgument(f'unknown type "{word}" in HEALTHCHECK (try CMD)')
    words = _json_words(rest.strip())
    config["Healthcheck"] = {"Test": ["CMD", *words] if words is not None else ["CMD-SHELL", rest.strip()]}


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "cmd": _cmd,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "healthcheck": _healthcheck,
    "label": _label,
    "onbuild": _on_build,
    "stopsignal": _text("StopSignal"),
    "user": _text("User"),
    "volume": _volume,
    "workdir": _workdir,
}


def _command(text: str) -> list[str] | None:
    words = _json_words(text)
    if words is not None:
        return words
    return ["/bin/sh", "-c", text] if text else None


def _json_words(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        return None


def _pairs(name: str, text: str) -> list[tuple[str, str]]:
    """``a=b c="d e"``, or in the old form one ``key value with spaces``."""
    if not text:
        raise InvalidArgument(f"{name} requires at least one argument")
    words = _words(text)
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{name} must have two arguments")
        return [(key, value.strip())]
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(f"Syntax error - can't find = in {word!r}. Must be of the form: name=value")
        if not key:
            raise InvalidArgument(f"{name} names can not be blank")
        pairs.append((key, value))
    return pairs


def _words(text: str) -> list[str]:
    """Words at spaces, with quotes and backslashes taken away."""
    words: list[str] = []
    word, quote, escaped = "", "", False
    for char in text:
        if escaped:
            word, escaped = word + char, False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            word, quote = (word, "") if char == quote else (word + char, quote)
        elif char in "\"'":
            quote = char
        elif char.isspace():
            words, word = ([*words, word] if word else words), ""
        else:
            word += char
    return [*words, word] if word else words
