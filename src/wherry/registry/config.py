"""The registry's settings: the YAML keys, environment variables and defaults of Docker's registry.

    version: 0.1
    log: {level, formatter, fields, accesslog: {disabled}}
    storage:
      filesystem: {rootdirectory} | s3: {…}
      delete: {enabled}
      redirect: {disable}
      maintenance: {readonly: {enabled}, uploadpurging: {enabled, age, interval, dryrun}, garbagecollect: {…}}
    http: {addr, net, prefix, host, relativeurls, headers, draintimeout, tls: {…}, debug: {addr, prometheus: {enabled, path}}}
    auth, proxy, notifications, health, catalog: {maxentries}, validation: {disabled, manifests: {urls: {allow, deny}}}

``REGISTRY_HTTP_ADDR=:5001`` sets ``http.addr``: each part of the name is a key, or an index of a list, and the value is
YAML. What stands above goes before what a file says, and flags before both.
"""  # noqa: E501 - one line a section

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from wherry.lib.errors import InvalidArgument
from wherry.registry.options import fields, span

DEFAULT_ROOT = "/var/lib/registry"
DEFAULT_ADDRESS = ":5000"
CATALOG_MAX = 1000
PREFIX = "REGISTRY_"

SECTIONS = frozenset(
    "version log loglevel storage auth middleware http notifications redis health proxy catalog compatibility "
    "policy validation reporting".split()
)
_IGNORED = ("middleware", "redis", "reporting")
_NOT_DRIVERS = frozenset({"maintenance", "cache", "delete", "redirect", "tag"})

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purging:
    """Of unfinished uploads; times in seconds."""

    enabled: bool = True
    age: float = 168 * 3600.0
    interval: float = 24 * 3600.0
    dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the registry is to do. The mappings are sections as they came, for those who own them."""

    log_level: str = "info"
    log_format: str = "text"
    log_fields: Mapping[str, Any] = field(default_factory=dict)
    access_log: bool = True
    storage: str = "filesystem"
    storage_options: Mapping[str, Any] = field(default_factory=lambda: {"rootdirectory": DEFAULT_ROOT})
    delete: bool = False
    redirect: bool = True
    readonly: bool = False
    purging: Purging = field(default_factory=Purging)
    network: str = "tcp"
    address: str = DEFAULT_ADDRESS
    prefix: str = ""
    host: str = ""
    relative_urls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    drain: float = 8.0
    """Seconds that requests under way get when the registry is told to stop; ``docker stop`` kills after ten."""
    debug_address: str = ""
    prometheus_path: str = ""
    """Empty: no metrics."""
    catalog_max: int = CATALOG_MAX
    urls_allowed: tuple[re.Pattern[str], ...] = ()
    urls_denied: tuple[re.Pattern[str], ...] = ()
    tls: Mapping[str, Any] = field(default_factory=dict)
    auth: Mapping[str, Any] = field(default_factory=dict)
    proxy: Mapping[str, Any] = field(default_factory=dict)
    notifications: Mapping[str, Any] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)
    garbage_collection: Mapping[str, Any] = field(default_factory=dict)
    """``storage.maintenance.garbagecollect``, which Docker's registry does not have."""
    ignored: tuple[str, ...] = ()
    """Sections that have been given and say nothing to this registry."""


def load(text: str, environment: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file's text, the environment and ``overrides`` (dotted keys). Raises InvalidArgument."""
    try:
        tree = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        raise InvalidArgument(f"configuration: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise InvalidArgument("configuration: a mapping is expected")
    version = tree.get("version", "0.1")
    if str(version) != "0.1":
        raise InvalidArgument(f"configuration: version {version} is not supported, 0.1 is")
    if isinstance(tree.get("storage"), str):
        tree["storage"] = {tree["storage"]: {}}
    for name in sorted(environment):
        if name.startswith(PREFIX):
            _apply_variable(tree, name, environment[name])
    for key, value in (overrides or {}).items():
        _set(tree, key.split("."), value)
    return _settings(tree)


def _apply_variable(tree: Tree, name: str, text: str) -> None:
    parts = name[len(PREFIX) :].lower().split("_")
    if parts[0] not in SECTIONS or not all(parts):
        return
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if parts == ["storage"] and isinstance(value, str):
        kept = {key: old for key, old in _section(tree, "storage").items() if key in _NOT_DRIVERS or key == value}
        tree["storage"] = {value: {}, **kept}
        return
    _set(tree, parts, value)


def _set(tree: Tree, parts: list[str], value: object) -> None:
    """Set a value by its path; an index one past the end of a list appends to it."""
    at: Any = tree
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        last = following == ""
        fresh: Any = value if last else ([] if following.isdigit() else {})
        if isinstance(at, list):
            if not part.isdigit() or int(part) > len(at):
                raise InvalidArgument(f"configuration: {'.'.join(parts)}: {part!r} is no index of the list")
            if int(part) == len(at):
                at.append(fresh)
            elif last:
                at[int(part)] = value
            at = at[int(part)]
        else:
            if last or not isinstance(at.get(part), (dict, list)):
                at[part] = fresh
            at = at[part]


def _settings(tree: Tree) -> Settings:
    storage, http, log = _section(tree, "storage"), _section(tree, "http"), _section(tree, "log")
    kind, options = _driver(storage)
    prefix = str(http.get("prefix") or "").strip("/")
    debug = _section(http, "debug")
    prometheus = _section(debug, "prometheus")
    urls = _section(_section(_section(tree, "validation"), "manifests"), "urls")
    return Settings(
        log_level=str(log.get("level") or tree.get("loglevel") or "info"),
        log_format=str(log.get("formatter") or "text"),
        log_fields=_section(log, "fields"),
        access_log=not _flag(_section(log, "accesslog"), "disabled"),
        storage=kind,
        storage_options=options,
        delete=_flag(_section(storage, "delete"), "enabled"),
        redirect=not _flag(_section(storage, "redirect"), "disable"),
        readonly=_flag(_section(_section(storage, "maintenance"), "readonly"), "enabled"),
        purging=_purging(_section(_section(storage, "maintenance"), "uploadpurging")),
        network=str(http.get("net") or "tcp"),
        address=str(http.get("addr") or DEFAULT_ADDRESS),
        prefix=f"/{prefix}" if prefix else "",
        host=str(http.get("host") or "").rstrip("/"),
        relative_urls=_flag(http, "relativeurls"),
        headers=fields("configuration: http.headers.", _section(http, "headers")),
        drain=_seconds(http, "draintimeout", 8.0),
        debug_address=str(debug.get("addr") or ""),
        prometheus_path=str(prometheus.get("path") or "/metrics") if _flag(prometheus, "enabled") else "",
        catalog_max=_number(_section(tree, "catalog"), "maxentries", CATALOG_MAX),
        urls_allowed=_patterns(urls, "allow"),
        urls_denied=_patterns(urls, "deny"),
        tls=_section(http, "tls"),
        auth=_auth(tree),
        proxy=_section(tree, "proxy"),
        notifications=_section(tree, "notifications"),
        health=_section(tree, "health"),
        garbage_collection=_section(_section(storage, "maintenance"), "garbagecollect"),
        ignored=tuple(name for name in _IGNORED if tree.get(name)),
    )


def _driver(storage: Tree) -> tuple[str, Tree]:
    kinds = [key for key in storage if key not in _NOT_DRIVERS]
    if len(kinds) > 1:
        raise InvalidArgument(f"configuration: must provide exactly one storage type. Provided: {', '.join(kinds)}")
    if not kinds:
        return "filesystem", {"rootdirectory": DEFAULT_ROOT}
    options = dict(_section(storage, kinds[0]))
    if kinds[0] == "filesystem":
        options.setdefault("rootdirectory", DEFAULT_ROOT)
    return kinds[0], options


def _auth(tree: Tree) -> Tree:
    auth = tree.get("auth")
    if isinstance(auth, str):
        return {} if auth == "none" else {auth: {}}
    return {key: value for key, value in _section(tree, "auth").items() if key != "none"}


def _purging(section: Tree) -> Purging:
    return Purging(
        enabled=_flag(section, "enabled", default=True),
        age=_seconds(section, "age", 168 * 3600.0),
        interval=max(_seconds(section, "interval", 24 * 3600.0), 1.0),
        dry=_flag(section, "dryrun"),
    )


def _patterns(section: Tree, key: str) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(str(one)) for one in section.get(key) or ())
    except (re.error, TypeError) as error:
        raise InvalidArgument(f"configuration: validation.manifests.urls.{key}: {error}") from None


def _section(tree: Mapping[str, Any], key: str) -> Tree:
    value = tree.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"configuration: {key}: a mapping is expected, not {value!r}")
    return value


def _flag(section: Tree, key: str, *, default: bool = False) -> bool:
    value = section.get(key)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise InvalidArgument(f"configuration: {key}: true or false is expected, not {value!r}")


def _number(section: Tree, key: str, default: int) -> int:
    value = section.get(key)
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise InvalidArgument(f"configuration: {key}: a number is expected, not {value!r}")


def _seconds(section: Tree, key: str, default: float) -> float:
    value = section.get(key)
    if value is None:
        return default
    try:
        return span(value)
    except ValueError:
        raise InvalidArgument(f"configuration: {key}: a duration is expected, not {value!r}") from None
