"""What the use cases of containers work with: everything is made in ``daemon/wiring.py`` and handed over here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wherry.engine.containers.registry import Registry
from wherry.engine.volumes import Volumes
from wherry.linux.cgroups import Cgroups
from wherry.linux.seccomp_docker import ProfileCache
from wherry.network.controller import NetworkController
from wherry.oci.image import ImageConfig
from wherry.oci.reference import Reference
from wherry.runtime.foreign_registry import Runtimes
from wherry.runtime.host import HostFacts
from wherry.runtime.launcher import Launcher
from wherry.runtime.spec_settle import DaemonDefaults
from wherry.snapshots import Snapshots
from wherry.transfer.committing import Child, Pieces
from wherry.transfer.members import Member
from wherry.wire.container import LogConfig


class ImageFacts(Protocol):
    """What a container takes from its image."""

    @property
    def id(self) -> str:
        """``sha256:…``."""

    @property
    def snapshot_key(self) -> str | None:
        """The snapshot that containers stand on; None for an image without layers."""

    @property
    def config(self) -> ImageConfig:
        """The image's defaults for containers."""

    @property
    def os(self) -> str:
        """``linux``."""

    @property
    def size(self) -> int:
        """Bytes in the files of all layers."""


class Images(Protocol):
    """The image store as containers need it."""

    def resolve(self, name: str) -> ImageFacts:
        """The image of that name or id. Raises NotFound."""

    def get(self, image_id: str) -> ImageFacts | None:
        """The image of a full id; None once it was removed."""

    async def take_layer(self, pieces: Pieces) -> Member:
        """Write a layer down. Raises Internal."""

    async def drop_layer(self, layer: Member) -> None:
        """Forget one that did not become part of an image."""

    async def commit(self, parent_id: str, layer: Member, child: Child, names: Sequence[Reference]) -> str:
        """Make an image of another one and a layer; its id. Raises NotFound, Internal."""


class EventSink(Protocol):
    """Where it is told what happened."""

    def emit(self, type: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:  # noqa: A002
        """Tell that ``action`` happened to ``actor``; neither waits nor fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the daemon's configuration says about containers."""

    data_root: Path
    """``<data-root>/containers``: one directory each, with the log and the files mounted into /etc."""
    exec_root: Path
    cgroup_parent: str
    log_config: LogConfig
    runtimes: Runtimes
    hostname: str
    """The machine's own name, for containers on the host's network."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    defaults: DaemonDefaults = field(default_factory=DaemonDefaults)
    cdi_spec_dirs: tuple[str, ...] = ()
    """Where device descriptions are looked for, the most important directory last."""
    selinux: bool = False
    """Whether containers get labels."""

    def roots(self) -> tuple[Path, ...]:
        """The directories that all containers' own are in."""
        return (self.data_root, self.exec_root / "containers", self.exec_root / "execs")

    def directory(self, container_id: str) -> Path:
        """A container's durable directory."""
        return self.data_root / container_id

    def log_path(self, container_id: str) -> Path:
        """The active file of its log."""
        return self.data_root / container_id / f"{container_id}-json.log"

    def bundle(self, container_id: str) -> Path:
        """Where the runtime keeps a running container."""
        return self.exec_root / "containers" / container_id

    def exec_bundle(self, exec_id: str) -> Path:
        """Where the runtime keeps an exec process."""
        return self.exec_root / "execs" / exec_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The collaborators of the use cases."""

    settings: Settings
    host: HostFacts
    registry: Registry
    images: Images
    snapshots: Snapshots
    volumes: Volumes
    networks: NetworkController
    events: EventSink
    launcher: Launcher
    cgroups: Cgroups
    seccomp: ProfileCache
