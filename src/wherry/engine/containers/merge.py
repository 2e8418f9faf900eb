"""A container's configuration: what the user said, filled from the image (moby ``merge`` rules)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.oci.image import Health, ImageConfig
from wherry.wire.container import ContainerConfig, HealthConfig

V = TypeVar("V")


def merge(user: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    """``user`` with every gap filled from ``image``. Raises InvalidArgument when there is nothing to run."""
    entrypoint, command = _program(user, image)
    merged = msgspec.structs.replace(
        user,
        user=user.user or image.user,
        exposed_ports=_union(user.exposed_ports, image.exposed_ports),
        env=merge_env(user.env or (), image.env or ()),
        labels={**(image.labels or {}), **(user.labels or {})},
        cmd=command,
        entrypoint=entrypoint,
        healthcheck=_health(user.healthcheck, image.healthcheck),
        working_dir=user.working_dir or image.working_dir,
        volumes=_union(user.volumes, image.volumes),
        stop_signal=user.stop_signal or image.stop_signal,
        shell=user.shell or image.shell,
        on_build=user.on_build or image.on_build,
    )
    if not merged.entrypoint and not merged.cmd:
        raise InvalidArgument("no command specified")
    return merged


def merge_env(user: Sequence[str], image: Sequence[str]) -> list[str]:
    """The user's variables, then those of the image that the user did not set."""
    named = {entry.partition("=")[0] for entry in user}
    return [*user, *(entry for entry in image if entry.partition("=")[0] not in named)]


def program(config: ContainerConfig) -> tuple[str, list[str]]:
    """The path and the arguments that entrypoint and command make together."""
    words = [*(config.entrypoint or ()), *(config.cmd or ())]
    return words[0], words[1:]


def _program(user: ContainerConfig, image: ImageConfig) -> tuple[list[str] | None, list[str] | None]:
    """An entrypoint of the user's own drops the image's command; ``[""]`` drops the image's entrypoint."""
    entrypoint, command = user.entrypoint, user.cmd
    if not entrypoint:
        command = command or image.cmd
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    if entrypoint == [""]:
        entrypoint = None
    return entrypoint, command


def _union(user: Mapping[str, V] | None, image: Mapping[str, V] | None) -> dict[str, V] | None:
    return {**(image or {}), **(user or {})} or None


def _health(user: HealthConfig | None, image: Health | None) -> HealthConfig | None:
    if image is None:
        return user
    asked = user or HealthConfig()
    return HealthConfig(
        **{name: getattr(asked, name) or getattr(image, name) for name in HealthConfig.__struct_fields__}
    )
