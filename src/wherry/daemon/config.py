"""The daemon's settings: flags as dockerd's, ``daemon.json`` with dockerd's keys, defaults; read once, then frozen.

A setting may come from a flag or from the file, not from both. A key that the file should not have is refused, so that
a misspelt setting is never silently without effect.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from wherry import __version__
from wherry.daemon import registries, runtimes
from wherry.daemon.values import size, ulimits
from wherry.lib.errors import InvalidArgument
from wherry.runtime.foreign_registry import OWN, Known
from wherry.runtime.spec_settle import DEFAULT_SHM_SIZE
from wherry.wire.container import Ulimit

DEFAULT_NAME = "wherry"
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
STORAGE_DRIVERS = ("", "overlay", "overlay2", "native", "vfs", "fuse-overlayfs")
"""``overlay2`` and ``vfs`` are dockerd's names for the first of each pair; empty is whatever works."""

_SHAPES = {"bool": bool, "int": int, "str": str, "Path": str, "list": list, "dict": dict}
_FILE_KEYS = {
    "hosts": "hosts",
    "data-root": "data_root",
    "exec-root": "exec_root",
    "pidfile": "pidfile",
    "debug": "debug",
    "log-level": "log_level",
    "bip": "bip",
    "mtu": "mtu",
    "storage-driver": "storage_driver",
    "exec-opts": "exec_opts",
    "default-runtime": "default_runtime",
    "runtimes": "runtimes",
    "group": "group",
    "dns": "dns",
    "dns-search": "dns_search",
    "dns-opts": "dns_options",
    "labels": "labels",
    "name": "name",
    "log-opts": "log_opts",
    "log-driver": "log_driver",
    "live-restore": "live_restore",
    "default-ipc-mode": "default_ipc_mode",
    "default-cgroupns-mode": "default_cgroupns_mode",
    "default-shm-size": "default_shm_size",
    "default-ulimits": "default_ulimits",
    "cdi-spec-dirs": "cdi_spec_dirs",
    "userns-remap": "userns_remap",
    "seccomp-profile": "seccomp_profile",
    "no-new-privileges": "no_new_privileges",
    "selinux-enabled": "selinux_enabled",
    "init": "init",
    **registries.KEYS,
    "disk-budget": "disk_budget",
    "disk-keep-images": "disk_keep_images",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a daemon is told at its start."""

    name: str = DEFAULT_NAME
    """Names all that is global: bridge ``<name>0``, nftables table ``<name>``, cgroup parent ``/<name>``."""
    hosts: tuple[str, ...] = ()
    data_root: Path = Path()
    exec_root: Path = Path()
    pidfile: Path = Path()
    debug: bool = False
    log_level: str = "info"
    bip: str = ""
    mtu: int = 1500
    storage_driver: str = ""
    exec_opts: tuple[str, ...] = ()
    default_runtime: str = OWN
    runtimes: dict[str, Known] = field(default_factory=dict)
    """Other OCI runtimes by name."""
    group: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    live_restore: bool = True
    default_ipc_mode: str = "private"
    default_cgroupns_mode: str = ""
    """Empty is by the machine."""
    default_shm_size: int = DEFAULT_SHM_SIZE
    default_ulimits: tuple[Ulimit, ...] = ()
    cdi_spec_dirs: tuple[str, ...] = ("/etc/cdi", "/var/run/cdi")
    userns_remap: str = ""
    seccomp_profile: str = ""
    """A file, ``unconfined``, or ``builtin``, which is what empty means."""
    no_new_privileges: bool = False
    selinux_enabled: bool = False
    init: bool = False
    disk_budget: int = 0
    """Bytes that images and logs may take together; 0 is no cap."""
    disk_keep_images: int = 1
    """So many images of each repository the budget does not evict."""
    registry_mirrors: tuple[str, ...] = ()
    """URLs of Docker Hub's mirrors; ``prefix=URL`` for other registries, or parts of them."""
    insecure_registries: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    allow_nondistributable_artifacts: tuple[str, ...] = ()
    rootless: str = ""
    """The runtime directory of ``wherryd-rootless``, which started us; empty for the machine's own daemon."""


def parser() -> argparse.ArgumentParser:
    """The command line of ``wherryd``. A flag that was not given is absent from the result."""
    flags = argparse.ArgumentParser(
        prog="wherryd", description="A self-sufficient container engine.", argument_default=argparse.SUPPRESS
    )
    flags.add_argument(
        "--name", help=f"name of this daemon's bridge, firewall table and cgroup (default {DEFAULT_NAME})"
    )
    flags.add_argument("-H", "--host", dest="hosts", action="append", help="daemon socket(s) to listen on")
    flags.add_argument("--data-root", help="root directory of persistent state (default /var/lib/wherry)")
    flags.add_argument("--exec-root", help="root directory for execution state files (default /run/wherry)")
    flags.add_argument("-p", "--pidfile", help="file of the daemon's process id (default <exec-root>/wherryd.pid)")
    flags.add_argument("--config-file", help="daemon configuration file (default /etc/wherry/daemon.json)")
    flags.add_argument("-D", "--debug", action="store_true", help="enable debug mode")
    flags.add_argument("-l", "--log-level", choices=LOG_LEVELS, help="set the logging level (default info)")
    flags.add_argument("--bip", help="address and prefix of the default bridge, such as 172.20.0.1/16")
    flags.add_argument("--mtu", type=int, help="MTU of the default bridge (default 1500)")
    flags.add_argument("-s", "--storage-driver", help="storage driver to use (default: overlay where it works)")
    flags.add_argument("--exec-opt", dest="exec_opts", action="append", help="runtime execution options")
    flags.add_argument("--add-runtime", dest="runtimes", action="append", help="register an additional OCI runtime")
    flags.add_argument("--default-runtime", help="default OCI runtime for containers (default wherry)")
    flags.add_argument("-G", "--group", help="group of the unix socket (default: wherry, else docker, else root)")
    flags.add_argument("--dns", action="append", help="DNS server to use")
    flags.add_argument("--dns-search", action="append", help="DNS search domains to use")
    flags.add_argument("--dns-opt", dest="dns_options", action="append", help="DNS options to use")
    flags.add_argument("--label", dest="labels", action="append", help="set key=value labels to the daemon")
    flags.add_argument("--log-driver", help="default driver for container logs (default json-file)")
    flags.add_argument("--log-opt", dest="log_opts", action="append", help="default log driver options")
    _add_container_defaults(flags)
    registries.add_flags(flags)
    flags.add_argument("--disk-budget", help="what images and logs may take, such as 20GB (default no cap)")
    flags.add_argument("--disk-keep-images", type=int, help="images per repository that the budget keeps (default 1)")
    flags.add_argument("--rootless", help=argparse.SUPPRESS)
    flags.add_argument("-v", "--version", action="version", version=f"wherry version {__version__}")
    return flags


def _add_container_defaults(flags: argparse.ArgumentParser) -> None:
    """What holds for every container that does not say otherwise."""
    modes = "default mode for containers"
    flags.add_argument("--default-ipc-mode", help=f'{modes} ipc ("shareable" | "private")')
    flags.add_argument("--default-cgroupns-mode", help=f'{modes} cgroup namespace ("host" | "private")')
    flags.add_argument("--default-shm-size", help="default shm size for containers (default 64MiB)")
    flags.add_argument("--default-ulimit", dest="default_ulimits", action="append", help="default ulimits")
    flags.add_argument("--cdi-spec-dir", dest="cdi_spec_dirs", action="append", help="CDI specification directories")
    flags.add_argument("--userns-remap", help="user and group for user namespaces: default, uid[:gid] or user[:group]")
    flags.add_argument("--seccomp-profile", help='path to a seccomp profile, or "unconfined"')
    flags.add_argument("--no-new-privileges", action="store_true", help="set no-new-privileges for new containers")
    flags.add_argument("--selinux-enabled", action="store_true", help="enable selinux support")
    flags.add_argument("--init", action="store_true", help="run an init in containers that reaps processes")


def load(arguments: Sequence[str]) -> Config:
    """The settings that ``arguments`` and the file give together. Raises InvalidArgument."""
    given: dict[str, Any] = vars(parser().parse_args(list(arguments)))
    file = given.pop("config_file", None)
    if "log_opts" in given:
        given["log_opts"] = dict(_pair(option) for option in given["log_opts"])
    from_file = _read_file(Path(file or f"/etc/{DEFAULT_NAME}/daemon.json"), required=file is not None)
    from_file = registries.flatten_proxies(from_file)
    if "runtimes" in given or "runtimes" in from_file:
        # The one setting that both may have: each adds to the other.
        given["runtimes"] = runtimes.merge(given.get("runtimes", ()), from_file.pop("runtimes", {}))
    both = sorted(set(given) & set(from_file))
    if both:
        raise InvalidArgument(
            "the following directives are specified both as a flag and in the configuration file: "
            + ", ".join(f"{key}: (from flag: {given[key]}, from file: {from_file[key]})" for key in both)
        )
    return _check(_complete(given | from_file))


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_bytes() or b"{}")
    except FileNotFoundError:
        if required:
            raise InvalidArgument(f"unable to configure the daemon with file {path}: no such file") from None
        return {}
    except ValueError as error:
        raise InvalidArgument(f"unable to configure the daemon with file {path}: {error}") from None
    if not isinstance(raw, dict):
        raise InvalidArgument(f"unable to configure the daemon with file {path}: expected an object")
    unknown = sorted(set(raw) - set(_FILE_KEYS))
    if unknown:
        raise InvalidArgument(
            f"unable to configure the daemon with file {path}: the following directives don't match any "
            f"configuration option: {', '.join(unknown)}"
        )
    return {_FILE_KEYS[key]: value for key, value in raw.items()}


def _complete(given: dict[str, Any]) -> Config:
    """Types and defaults: those that depend on another setting come last."""
    if "default_shm_size" in given:
        given["default_shm_size"] = size(given["default_shm_size"])
    if "disk_budget" in given:
        given["disk_budget"] = size(given["disk_budget"])
    if "default_ulimits" in given:
        given["default_ulimits"] = list(ulimits(given["default_ulimits"]))
    kinds = {setting.name: setting.type for setting in fields(Config)}
    values = {key: _typed(key, str(kinds[key]), value) for key, value in given.items()}
    config = Config(**values)
    data_root = config.data_root if "data_root" in values else Path(f"/var/lib/{DEFAULT_NAME}")
    exec_root = config.exec_root if "exec_root" in values else Path(f"/run/{DEFAULT_NAME}")
    return replace(
        config,
        data_root=data_root.absolute(),
        exec_root=exec_root.absolute(),
        pidfile=config.pidfile if "pidfile" in values else exec_root.absolute() / "wherryd.pid",
        hosts=config.hosts or (f"unix://{exec_root.absolute()}/docker.sock",),
    )


def _typed(key: str, kind: str, value: Any) -> Any:
    shape = "list" if kind.startswith("tuple") else kind.partition("[")[0]
    if not isinstance(value, _SHAPES[shape]):
        raise InvalidArgument(f"invalid value for {key}: {value!r}")
    convert: Any = {"Path": Path, "list": tuple}.get(shape, lambda same: same)
    return convert(value)


def _pair(option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not equals:
        raise InvalidArgument(f"invalid log option {option!r}: expected key=value")
    return key, value


def _check_disk(config: Config) -> None:
    if config.disk_keep_images < 0:
        raise InvalidArgument(f"invalid disk-keep-images: {config.disk_keep_images}")


def _check(config: Config) -> Config:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,12}", config.name):
        raise InvalidArgument(f"invalid daemon name {config.name!r}: expected [a-z][a-z0-9-]*, at most 13 characters")
    if config.storage_driver not in STORAGE_DRIVERS:
        raise InvalidArgument(f"error initializing graphdriver: driver not supported: {config.storage_driver}")
    for option in config.exec_opts:
        if option != "native.cgroupdriver=cgroupfs":
            raise InvalidArgument(f"exec-opt {option!r} is not supported: native.cgroupdriver=cgroupfs is")
    if config.bip:
        try:
            IPv4Interface(config.bip)
        except ValueError as error:
            raise InvalidArgument(f"invalid --bip: {error}") from None
    if config.default_ipc_mode not in ("private", "shareable"):
        known = config.default_ipc_mode in ("host", "none", "") or config.default_ipc_mode.startswith("container:")
        raise InvalidArgument(
            f"default IPC mode setting ({config.default_ipc_mode}) is {'not supported' if known else 'invalid'}; "
            'use "shareable" or "private"'
        )
    if config.default_cgroupns_mode not in ("", "host", "private"):
        raise InvalidArgument(
            f'default cgroup namespace mode ({config.default_cgroupns_mode}) is invalid; use "host" or "private"'
        )
    _check_disk(config)
    if config.log_level not in LOG_LEVELS:
        raise InvalidArgument(f"invalid logging level: {config.log_level}")
    registries.registry_settings(config)
    return config
