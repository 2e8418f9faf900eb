"""``--gpus`` and ``--device vendor.com/class=name``: which CDI devices a request means.

Docker knows drivers; here all are CDI. A request for GPUs is one for ``nvidia.com/gpu`` devices where a specification
describes such, and what Docker says without a driver is said where none does.
"""

from __future__ import annotations

from collections.abc import Sequence

from wherry.lib.errors import Internal, InvalidArgument
from wherry.runtime.cdi import CdiError, Registry, is_qualified, read_registry
from wherry.runtime.cdi_edits import ContainerEdits
from wherry.wire.container import DeviceRequest

_GPU = "nvidia.com/gpu"
_GPU_CAPABILITIES = frozenset({"gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"})
"""What a driver of such devices can do: a request's own are alternatives, each a list of what is needed together."""


def resolve_requests(requests: Sequence[DeviceRequest] | None, directories: Sequence[str]) -> list[ContainerEdits]:
    """What the devices asked for need. Touches the file system if there are any.

    Raises InvalidArgument and Internal in Docker's words.
    """
    if not requests:
        return []
    registry = read_registry(directories)
    edits: list[ContainerEdits] = []
    for request in requests:
        names = _names(request, registry, enabled=bool(directories))
        try:
            edits += registry.edits(names)
        except CdiError as error:
            raise Internal(f"CDI device injection failed: {error}") from None
    return edits


def _names(request: DeviceRequest, registry: Registry, *, enabled: bool) -> list[str]:
    if request.driver == "cdi" and enabled:
        if request.count:
            raise InvalidArgument("unexpected count in CDI device request")
        if request.options:
            raise InvalidArgument("unexpected options in CDI device request")
        return list(request.device_ids or ())
    described = any(name.startswith(f"{_GPU}=") for name in registry.devices)
    if request.driver in ("", "nvidia") and described and _matches(request):
        return _gpus(request)
    wanted = " ".join(f"[{' '.join(names)}]" for names in request.capabilities or ())
    raise InvalidArgument(f'could not select device driver "{request.driver}" with capabilities: [{wanted}]')


def _matches(request: DeviceRequest) -> bool:
    return any(set(names) <= _GPU_CAPABILITIES for names in request.capabilities or ())


def _gpus(request: DeviceRequest) -> list[str]:
    if request.count and request.device_ids:
        raise InvalidArgument("cannot set both Count and DeviceIDs on device request")
    if request.count < 0:
        return [f"{_GPU}=all"]
    chosen = list(request.device_ids or ()) or [str(number) for number in range(request.count)]
    return [name if is_qualified(name) else f"{_GPU}={name}" for name in chosen]
