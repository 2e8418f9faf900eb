"""``wherry port``: where a container's ports are published."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.cli.flags import Command
from wherry.cli.format.text import natural_key
from wherry.client import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    name, wanted = options.args[0], (options.args[1:] or [""])[0]
    ports = container.describe(app.client, name)["NetworkSettings"].get("Ports") or {}
    if wanted:
        lines = [_address(binding) for binding in _bindings(ports, name, wanted)]
    else:
        lines = [f"{port} -> {_address(binding)}" for port, found in ports.items() for binding in found or []]
    if lines:
        app.line("\n".join(sorted(lines, key=natural_key)))
    return 0


def _bindings(ports: dict[str, list[dict[str, str]] | None], name: str, wanted: str) -> list[dict[str, str]]:
    number, _, protocol = wanted.partition("/")
    if not (number.isascii() and number.isdigit()):
        raise CliError(f'Error: invalid port ({number}): strconv.ParseUint: parsing "{number}": invalid syntax')
    if int(number) > 65535:
        raise CliError(f'Error: invalid port ({number}): strconv.ParseUint: parsing "{number}": value out of range')
    found = ports.get(f"{number}/{protocol or 'tcp'}")
    if not found:
        raise CliError(f"Error: No public port '{wanted}' published for {name}")
    return found


def _address(binding: dict[str, str]) -> str:
    host, port = binding.get("HostIp", ""), binding.get("HostPort", "")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


PORT = Command(
    _run,
    usage="CONTAINER [PRIVATE_PORT[/PROTO]]",
    short="List port mappings or a specific mapping for the container",
    minimum=1,
    maximum=2,
    aliases="container port, port",
)
