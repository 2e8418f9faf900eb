"""``--publish`` and ``--expose``: [[ip:]host-ports:]container-ports[/protocol], as the API's port maps."""

from __future__ import annotations

from wherry.cli.values import is_ip

Bindings = dict[str, list[dict[str, str]]]


def parse_ports(specs: list[str]) -> tuple[dict[str, object], Bindings]:
    """ExposedPorts and PortBindings. Raises ``ValueError`` with docker's words."""
    exposed: dict[str, object] = {}
    bindings: Bindings = {}
    for spec in specs:
        for port, binding in _mappings(_standard(spec)):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    return exposed, bindings


def expose(specs: list[str], exposed: dict[str, object]) -> None:
    """Add what ``--expose`` names."""
    for spec in specs:
        if ":" in spec:
            raise ValueError(f"invalid port format for --expose: {spec}")
        protocol, ports = _split_protocol(spec)
        try:
            first, last = _range(ports)
        except ValueError as error:
            raise ValueError(f"invalid range format for --expose: {spec}, error: {error}") from error
        for port in range(first, last + 1):
            exposed.setdefault(f"{port}/{protocol}", {})


def _standard(spec: str) -> str:
    """published=…,target=…,protocol=… in the short form."""
    if "=" not in spec:
        return spec
    given = {"protocol": "tcp"}
    for parameter in spec.split(","):
        name, found, value = parameter.partition("=")
        if not found or not name:
            raise ValueError(f"invalid publish opts format (should be name=value but got '{parameter}')")
        given[name] = value
    return f"{given.get('published', '')}:{given.get('target', '')}/{given['protocol']}"


def _split_protocol(text: str) -> tuple[str, str]:
    port, _, protocol = text.partition("/")
    if not port:
        return "", ""
    return protocol.partition("/")[0] or "tcp", port


def _range(text: str) -> tuple[int, int]:
    if not text:
        raise ValueError("empty string specified for ports")
    first, dash, last = text.partition("-")
    low = _port(first)
    high = _port(last.partition("-")[0]) if dash else low
    if high < low:
        raise ValueError(f"invalid range specified for port: {text}")
    return low, high


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _mappings(spec: str) -> list[tuple[str, dict[str, str]]]:
    parts = spec.split(":")
    address, host, container = ":".join(parts[:-2]), (parts[-2] if len(parts) > 1 else ""), parts[-1]
    protocol, container = _split_protocol(container)
    if address.startswith("["):
        if not address.endswith("]"):
            raise ValueError(f"invalid IP address {address}: address {address}:: missing ']' in address")
        address = address[1:-1]
    if address and not is_ip(address):
        raise ValueError(f"invalid IP address: {address}")
    if not container:
        raise ValueError(f"no port specified: {spec}<empty>")
    first, last = _named_range("containerPort", container)
    low, high = _named_range("hostPort", host) if host else (0, 0)
    if host and last - first != high - low and last != first:
        raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
    if protocol.lower() not in {"tcp", "udp", "sctp"}:
        raise ValueError(f"invalid proto: {protocol}")
    found = []
    for step in range(last - first + 1):
        published = str(low + step) if host else ""
        if first == last and low != high:
            published = f"{published}-{high}"
        found.append((f"{first + step}/{protocol.lower()}", {"HostIp": address, "HostPort": published}))
    return found


def _named_range(name: str, text: str) -> tuple[int, int]:
    try:
        return _range(text)
    except ValueError:
        raise ValueError(f"invalid {name}: {text}") from None
