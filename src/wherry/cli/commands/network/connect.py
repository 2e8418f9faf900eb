"""``wherry network connect`` and ``disconnect``."""

from __future__ import annotations

from wherry.cli.endpoints import settings
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _connect(app: App, options: Parsed) -> int:
    driver = {}
    for one in options["driver-opt"]:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise CliError("invalid key/value pair format in driver options")
        driver[name.strip()] = value.strip()
    addresses = {
        key: options[name]
        for key, name in (("IPv4Address", "ip"), ("IPv6Address", "ip6"), ("LinkLocalIPs", "link-local-ip"))
        if options[name]
    }
    endpoint = settings(
        IPAMConfig=addresses,
        Links=options["link"] or None,
        Aliases=options["alias"],
        DriverOpts=driver,
        GwPriority=options["gw-priority"],
    )
    name, container = options.args
    network.connect(app.client, name, container, endpoint)
    return 0


def _disconnect(app: App, options: Parsed) -> int:
    name, container = options.args
    network.disconnect(app.client, name, container, force=options["force"])
    return 0


CONNECT = Command(
    _connect,
    usage="[OPTIONS] NETWORK CONTAINER",
    short="Connect a container to a network",
    options=(
        Option("alias", "", "strings", "Add network-scoped alias for the container"),
        Option("driver-opt", "", "strings", "driver options for the network"),
        Option(
            "gw-priority",
            "",
            "int",
            "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
        ),
        Option("ip", "", "string", 'IPv4 address (e.g., "172.30.100.104")'),
        Option("ip6", "", "string", 'IPv6 address (e.g., "2001:db8::33")'),
        Option("link", "", "list", "Add link to another container", check="link"),
        Option("link-local-ip", "", "strings", "Add a link-local address for the container"),
    ),
    minimum=2,
    maximum=2,
)
DISCONNECT = Command(
    _disconnect,
    usage="[OPTIONS] NETWORK CONTAINER",
    short="Disconnect a container from a network",
    options=(Option("force", "f", "bool", "Force the container to disconnect from a network"),),
    minimum=2,
    maximum=2,
)
