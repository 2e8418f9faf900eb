"""What is kept of a container: one frozen record, stored as a JSON document after every change."""

from __future__ import annotations

import msgspec

from wherry.engine.containers.state import State
from wherry.wire.container import ContainerConfig, HostConfig
from wherry.wire.network import EndpointSettings, PortBinding


class MountRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mount that the user, a volume list or the image asked for."""

    type: str
    """``bind``, ``volume`` or ``tmpfs``."""
    destination: str
    source: str = ""
    """Host path; for a volume its data directory."""
    volume: str = ""
    driver: str = ""
    volume_options: dict[str, str] | None = None
    volume_labels: dict[str, str] | None = None
    mode: str = ""
    """The options as written after the second colon of ``-v``."""
    writable: bool = True
    propagation: str = ""
    copy: bool = True
    """Fill a new volume with what the image has there."""
    create_source: bool = False
    """Make the host directory when it is missing: ``-v`` does, ``--mount`` does not."""
    recursive_read_only: bool = True
    tmpfs_size: int = 0
    tmpfs_mode: int = 0
    anonymous: bool = False
    """A volume that nobody named: removed with the container by ``rm -v`` and ``--rm``."""
    from_flag: bool = False
    """Came by ``--mount``: shown in HostConfig.Mounts, not in Binds."""


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A running container's network stack."""

    id: str
    key: str
    """Path of the namespace."""
    netns: str = ""
    """The same where the container has a namespace of its own; empty on the host's network."""
    endpoints: dict[str, EndpointSettings] = msgspec.field(default_factory=dict)
    ports: dict[str, list[PortBinding] | None] = msgspec.field(default_factory=dict)


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One container, whole."""

    id: str
    name: str
    created_at: int
    image_id: str
    platform: str = "linux"
    config: ContainerConfig
    host_config: HostConfig
    path: str
    args: list[str]
    mounts: list[MountRecord] = msgspec.field(default_factory=list)
    endpoints: dict[str, EndpointSettings] = msgspec.field(default_factory=dict)
    """What was asked for, by network name."""
    sandbox: SandboxRecord | None = None
    """What it got, while it runs."""
    state: State = State()
    process_label: str = ""
    """SELinux, as is the next."""
    mount_label: str = ""
    restart_count: int = 0
    manually_stopped: bool = False
    held: bool = False
    """It is paused by a commit under way, and only until that has its copy."""

    def with_state(self, state: State) -> ContainerRecord:
        """The same container in another state."""
        return msgspec.structs.replace(self, state=state)


_DECODER = msgspec.json.Decoder(ContainerRecord)
_ENCODER = msgspec.json.Encoder()


def to_document(record: ContainerRecord) -> bytes:
    """The stored form."""
    return _ENCODER.encode(record)


def from_document(document: bytes) -> ContainerRecord:
    """The record of a stored form. Raises msgspec.DecodeError."""
    return _DECODER.decode(document)
