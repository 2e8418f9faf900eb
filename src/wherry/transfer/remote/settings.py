"""How registries are reached: which may be plain HTTP, which have mirrors, through which proxy, how patiently."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import wherry
from wherry.transfer.remote.insecure import Insecure
from wherry.transfer.remote.mirrors import Mirror
from wherry.transfer.remote.proxies import Proxies

CERTS_DIRS = (Path("/etc/docker/certs.d"), Path("/etc/wherry/certs.d"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What a daemon knows of registries; the defaults are dockerd's. Times in seconds."""

    mirrors: tuple[Mirror, ...] = ()
    insecure: Insecure = field(default_factory=Insecure)
    proxies: Proxies = field(default_factory=Proxies)
    certs_dirs: tuple[Path, ...] = CERTS_DIRS
    attempts: int = 5
    """How often a download is tried before it fails, and an upload."""
    retry_delay: float = 5.0
    """The wait before the second attempt; it doubles with each."""
    connect_timeout: float = 30.0
    ping_timeout: float = 15.0
    read_timeout: float = 60.0
    """How long a registry may be silent."""
    user_agent: str = f"wherry/{wherry.__version__}"
