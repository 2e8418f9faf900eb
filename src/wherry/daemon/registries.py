"""What the daemon's settings say of registries."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wherry.lib.errors import InvalidArgument
from wherry.transfer.remote.insecure import parse_insecure
from wherry.transfer.remote.mirrors import parse_mirrors
from wherry.transfer.remote.proxies import proxies_of
from wherry.transfer.remote.settings import CERTS_DIRS, RegistrySettings

if TYPE_CHECKING:
    from wherry.daemon.config import Config

KEYS = {
    "registry-mirrors": "registry_mirrors",
    "insecure-registries": "insecure_registries",
    "max-concurrent-downloads": "max_concurrent_downloads",
    "max-concurrent-uploads": "max_concurrent_uploads",
    "max-download-attempts": "max_download_attempts",
    "proxies": "proxies",
    "allow-nondistributable-artifacts": "allow_nondistributable_artifacts",
}
"""Those of ``daemon.json``, and what they are here."""
PROXY_KEYS = {"http-proxy": "http_proxy", "https-proxy": "https_proxy", "no-proxy": "no_proxy"}
"""The members of ``proxies``."""


def add_flags(flags: argparse.ArgumentParser) -> None:
    """The flags of dockerd that are about registries."""
    flags.add_argument(
        "--registry-mirror",
        dest="registry_mirrors",
        action="append",
        help="preferred registry mirror: an URL for Docker Hub, prefix=URL for any registry or part of one",
    )
    flags.add_argument(
        "--insecure-registry",
        dest="insecure_registries",
        action="append",
        help="registries (host[:port] or network) to talk to without TLS, or without knowing who signed for them",
    )
    flags.add_argument("--max-concurrent-downloads", type=int, help="set the max concurrent downloads (default 3)")
    flags.add_argument("--max-concurrent-uploads", type=int, help="set the max concurrent uploads (default 5)")
    flags.add_argument(
        "--max-download-attempts", type=int, help="set the max download attempts for each pull (default 5)"
    )
    flags.add_argument("--http-proxy", help="HTTP proxy URL to use for outgoing traffic")
    flags.add_argument("--https-proxy", help="HTTPS proxy URL to use for outgoing traffic")
    flags.add_argument("--no-proxy", help="hosts and networks that are reached without a proxy, with commas between")
    flags.add_argument(
        "--allow-nondistributable-artifacts", action="append", help="registries to push foreign layers to"
    )


def flatten_proxies(settings: dict[str, Any]) -> dict[str, Any]:
    """The file's settings with the members of ``proxies`` as settings of their own. Raises InvalidArgument."""
    proxies = settings.pop("proxies", {})
    if not isinstance(proxies, dict):
        raise InvalidArgument(f"invalid value for proxies: {proxies!r}")
    unknown = sorted(set(proxies) - set(PROXY_KEYS))
    if unknown:
        raise InvalidArgument(f"the following directives don't match any configuration option: {', '.join(unknown)}")
    return settings | {PROXY_KEYS[key]: value for key, value in proxies.items()}


def registry_settings(config: Config) -> RegistrySettings:
    """The same as the registry client wants it. Raises InvalidArgument in dockerd's words."""
    for what, number in (
        ("concurrent downloads", config.max_concurrent_downloads),
        ("concurrent uploads", config.max_concurrent_uploads),
        ("download attempts", config.max_download_attempts),
    ):
        if number < 0:
            raise InvalidArgument(f"invalid max {what}: {number}")
    return RegistrySettings(
        mirrors=parse_mirrors(config.registry_mirrors),
        insecure=parse_insecure(config.insecure_registries),
        proxies=proxies_of(os.environ, config.http_proxy, config.https_proxy, config.no_proxy),
        certs_dirs=_certs_dirs(config),
        attempts=max(config.max_download_attempts, 1),
    )


def _certs_dirs(config: Config) -> tuple[Path, ...]:
    """An ordinary user's daemon has the user's own, as rootless dockerd."""
    if not config.rootless:
        return CERTS_DIRS
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "docker/certs.d", home / "wherry/certs.d"
