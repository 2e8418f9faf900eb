"""What lists of containers show: the fields of ``ps`` and of ``system df -v``."""

from __future__ import annotations

import time

from wherry.cli.format.rows import Kind
from wherry.cli.format.text import ellipsis, local_time, quote, short_id
from wherry.cli.format.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Summary:
    """One container of a list, and whether texts are to be cut."""

    __slots__ = ("trunc", "value")

    def __init__(self, value: dict[str, Any], *, trunc: bool) -> None:
        self.value = value
        self.trunc = trunc


def _id(row: Summary) -> str:
    identity = row.value.get("Id", "")
    return short_id(identity) if row.trunc else identity


def _names(row: Summary) -> str:
    names = [name[1:] for name in row.value.get("Names") or []]
    if row.trunc:
        names = next(([name] for name in names if "/" not in name), names)
    return ",".join(names)


def _image(row: Summary) -> str:
    image: str = row.value.get("Image", "")
    if not image:
        return "<no image>"
    if not row.trunc:
        return image
    short = short_id(row.value.get("ImageID", ""))
    if short == short_id(image):
        return short
    from wherry.cli import reference

    try:
        named = reference.parse(image)
    except ValueError:
        return image
    return f"{named.familiar_name}:{named.tag}" if named.tag else named.familiar_name


def _command(row: Summary) -> str:
    command = row.value.get("Command", "")
    return quote(ellipsis(command, 20) if row.trunc else command)


def _running_for(row: Summary) -> str:
    return f"{human_duration(time.time() - row.value.get('Created', 0))} ago"


def _size(row: Summary) -> str:
    written = human_size(row.value.get("SizeRw") or 0, 3)
    whole = row.value.get("SizeRootFs") or 0
    return f"{written} (virtual {human_size(whole, 3)})" if whole > 0 else written


def _labels(row: Summary) -> str:
    return ",".join(sorted(f"{name}={value}" for name, value in (row.value.get("Labels") or {}).items()))


def _mounts(row: Summary) -> str:
    names = [mount.get("Name") or mount.get("Source", "") for mount in row.value.get("Mounts") or []]
    return ",".join(ellipsis(name, 15) if row.trunc else name for name in names)


def _local_volumes(row: Summary) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in row.value.get("Mounts") or []))


def _networks(row: Summary) -> str:
    return ",".join((row.value.get("NetworkSettings") or {}).get("Networks") or {})


def _platform(row: Summary) -> str | None:
    platform = (row.value.get("ImageManifestDescriptor") or {}).get("platform")
    if not platform:
        return None
    return "/".join(platform[part] for part in ("os", "architecture", "variant") if platform.get(part))


def _ports(row: Summary) -> str:
    return shown_ports(row.value.get("Ports") or [])


def shown_ports(ports: list[dict[str, Any]]) -> str:
    """0.0.0.0:80->80/tcp, 9000-9002/tcp: neighbours that are published under their own number become ranges."""
    found: list[str] = []
    mapped: list[str] = []
    groups: dict[str, list[int]] = {}
    for port in sorted(ports, key=_port_order):
        private, public, address, kind = (
            port["PrivatePort"],
            port.get("PublicPort", 0),
            port.get("IP", ""),
            port["Type"],
        )
        key = f"{address}/{kind}" if address else kind
        if address and public != private:
            mapped.append(f"{_host_port(address, public)}->{private}/{kind}")
            continue
        group = groups.get(key)
        if group is None:
            groups[key] = [private, private]
        elif private == group[1] + 1:
            group[1] = private
        else:
            found.append(_group(key, *group))
            groups[key] = [private, private]
    found += [_group(key, first, last) for key, (first, last) in groups.items()]
    return ", ".join(found + mapped)


def _port_order(port: dict[str, Any]) -> tuple[int, str, int, str]:
    return port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]


def _host_port(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _group(key: str, first: int, last: int) -> str:
    address, _, kind = key.rpartition("/")
    span = str(first) if first == last else f"{first}-{last}"
    return f"{_host_port(address, span)}->{span}/{kind}" if address else f"{span}/{kind}"


def _label(row: Summary, name: str) -> str:
    value: str = (row.value.get("Labels") or {}).get(name, "")
    return value


CONTAINERS = Kind(
    "*formatter.ContainerContext",
    {
        "ID": "CONTAINER ID",
        "Names": "NAMES",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "CreatedAt": "CREATED AT",
        "RunningFor": "CREATED",
        "Ports": "PORTS",
        "State": "STATE",
        "Status": "STATUS",
        "Size": "SIZE",
        "Labels": "LABELS",
        "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES",
        "Networks": "NETWORKS",
        "Platform": "PLATFORM",
    },
    {
        "ID": _id,
        "Names": _names,
        "Image": _image,
        "Command": _command,
        "CreatedAt": lambda row: local_time(row.value.get("Created", 0)),
        "RunningFor": _running_for,
        "Ports": _ports,
        "State": lambda row: row.value.get("State", ""),
        "Status": lambda row: row.value.get("Status", ""),
        "Size": _size,
        "Labels": _labels,
        "Mounts": _mounts,
        "LocalVolumes": _local_volumes,
        "Networks": _networks,
        "Platform": _platform,
    },
    {"Label": _label},
)
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
