"""What the system's answers are made of: settings, and what other nouns can say. The daemon's wiring provides them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wherry.engine.images import ImageUsage
from wherry.wire.system import AddressPool
from wherry.wire.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the daemon was told, as far as it is shown."""

    id: str
    root: Path
    version: str
    api_version: str
    min_api_version: str
    debug: bool = False
    labels: Sequence[str] = ()
    logging_driver: str = "json-file"
    log_drivers: Sequence[str] = ("json-file",)
    network_drivers: Sequence[str] = ("bridge", "host", "null")
    default_runtime: str = "wherry"
    runtimes: Sequence[tuple[str, str, Sequence[str]]] = (("wherry", "wherry-oci", ()),)
    """Name, program and arguments of each."""
    storage_driver: str = "overlay2"
    """Docker's name for layers as several lower directories of one overlay mount, which is what ours are. ``overlay``
    is Docker's name for another, long dead, way."""
    cgroup_driver: str = "cgroupfs"
    seccomp_profile: str = "builtin"
    """Empty where system calls are not filtered."""
    apparmor: bool = False
    selinux: bool = False
    user_namespaces: bool = False
    """Whether containers' users are others on the host."""
    rootless: bool = False
    """Whether this daemon is an ordinary user's."""
    private_cgroup_namespace: bool = False
    """Whether containers get a cgroup namespace of their own unless told otherwise."""
    no_new_privileges: bool = False
    cdi_spec_dirs: Sequence[str] = ()
    live_restore: bool = True
    firewall: str = "nftables"
    insecure_registries: Sequence[str] = ("::1/128", "127.0.0.0/8")
    """Networks."""
    insecure_hosts: Sequence[str] = ()
    registry_mirrors: Sequence[str] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    address_pools: Sequence[AddressPool] = field(default=())
    init_binary: str = "wherry-init"


@dataclass(frozen=True, slots=True)
class ContainerCounts:
    """How many containers there are in each state."""

    running: int
    paused: int
    stopped: int


class ContainerSource(Protocol):
    """What containers say."""

    def counts(self) -> ContainerCounts:
        """How many there are, without waiting for any of them."""

    async def disk_usage(self) -> Sequence[Any]:
        """The summaries of all, with SizeRw and SizeRootFs, as ``GET /containers/json?all=1&size=1`` gives them."""


class ImageSource(Protocol):
    """What images say."""

    def count(self) -> int:
        """How many images there are, with and without a tag."""

    def usage(self) -> ImageUsage:
        """What they hold."""


class VolumeSource(Protocol):
    """What volumes say."""

    async def usage(self) -> Sequence[Volume]:
        """All volumes with their sizes."""


class EventSource(Protocol):
    """What the events hub says."""

    @property
    def listeners(self) -> int:
        """How many clients are listening."""
