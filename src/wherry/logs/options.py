"""Log drivers and their options: what a create request may ask for, and what a shim is told.

``json-file`` and ``none`` are the drivers. A json-file log without ``max-size`` is bounded too, at 20 MB times five
files: a container cannot fill the disk because nobody thought of its log. ``max-size=-1`` asks for no bound.
``mode=non-blocking`` is accepted, and waits nevertheless: a shim that writes a file has nothing else to wait for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.lib.errors import Internal, InvalidArgument, NotBuilt
from wherry.logs.size import human_size, ram_size
from wherry.logs.tag import LogInfo, expand_tag
from wherry.wire.hostconfig import LogConfig

DRIVERS = ("json-file", "none")
DEFAULT_DRIVER = "json-file"
DEFAULT_MAX_SIZE = 20_000_000
DEFAULT_MAX_FILES = 5
UNBOUNDED = -1

_COMMON = frozenset({"labels", "labels-regex", "env", "env-regex", "tag"})
_JSON_FILE = _COMMON | {"max-size", "max-file", "compress"}
_ANY_DRIVER = frozenset(
    {"mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"}
)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How a json-file log is written."""

    max_size: int = DEFAULT_MAX_SIZE
    """Bytes after which the file is rotated; -1 never."""
    max_files: int = DEFAULT_MAX_FILES
    compress: bool = False
    attrs: Mapping[str, str] = field(default_factory=dict)
    """What is added to every entry."""


def effective(asked: LogConfig, default: LogConfig) -> LogConfig:
    """What a container gets that asks for ``asked`` on a daemon whose own is ``default``; checked.

    The daemon's options hold where the driver is the same. Raises InvalidArgument in Docker's words.
    """
    driver = asked.type or default.type or DEFAULT_DRIVER
    options = dict(asked.config or {})
    if driver == (default.type or DEFAULT_DRIVER):
        options = {**(default.config or {}), **options}
    validate(driver, options)
    return LogConfig(type=driver, config=options)


def validate(driver: str, options: Mapping[str, str]) -> None:
    """Refuse what no container can be created with: an unknown driver or option name. Raises InvalidArgument."""
    if driver == "none":
        return
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            ram_size(options["max-buffer-size"])
        except ValueError as error:
            raise InvalidArgument(f"error parsing option max-buffer-size: {error}") from None
    if options.get("cache-disabled") and options["cache-disabled"] not in _TRUE | _FALSE:
        raise InvalidArgument(f"invalid value for option cache-disabled: {options['cache-disabled']}")
    if driver not in DRIVERS:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for name in options:
        if name not in _JSON_FILE | _ANY_DRIVER:
            raise InvalidArgument(f"unknown log opt '{name}' for {driver} log driver")


def json_file_options(options: Mapping[str, str], info: LogInfo) -> LogOptions:
    """How the log of container ``info`` is written; looked at when it starts, as dockerd does.

    Raises Internal (dockerd answers 500 here) when a value makes no sense.
    """
    try:
        return _parse(options, info)
    except ValueError as error:
        raise Internal(f"failed to initialize logging driver: {error}") from None


def check_readable(driver: str) -> None:
    """Refuse to read what was never kept. Raises NotBuilt, in Docker's words and with its status."""
    if driver == "none":
        raise NotBuilt("configured logging driver does not support reading")


def _parse(options: Mapping[str, str], info: LogInfo) -> LogOptions:
    max_size = DEFAULT_MAX_SIZE
    if "max-size" in options:
        max_size = UNBOUNDED if options["max-size"] == "-1" else human_size(options["max-size"])
        if max_size == 0:
            raise ValueError("max-size must be a positive number")
    max_files = 1 if "max-size" in options else DEFAULT_MAX_FILES
    if "max-file" in options:
        max_files = _integer(options["max-file"])
        if max_files < 1:
            raise ValueError("max-file cannot be less than 1")
    compress = "compress" in options and _boolean(options["compress"])
    if compress and (max_files == 1 or "max-size" not in options or max_size == UNBOUNDED):
        raise ValueError("compress cannot be true when max-file is less than 2 or max-size is not set")
    return LogOptions(max_size=max_size, max_files=max_files, compress=compress, attrs=_attributes(options, info))


def _attributes(options: Mapping[str, str], info: LogInfo) -> dict[str, str]:
    environment = dict(entry.split("=", 1) for entry in info.env if "=" in entry)
    attributes = _chosen(info.labels, options.get("labels", ""), options.get("labels-regex", ""))
    attributes |= _chosen(environment, options.get("env", ""), options.get("env-regex", ""))
    if tag := expand_tag(options.get("tag", ""), info):
        attributes["tag"] = tag
    return attributes


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    chosen = {name: values[name] for name in names.split(",") if name in values}
    if pattern:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"error parsing regexp: {error}: `{pattern}`") from None
        chosen |= {name: value for name, value in values.items() if expression.search(name)}
    return chosen


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE
