"""``wherry logout``: forget the credentials for a registry."""

from __future__ import annotations

from wherry.cli.credentials import store_for
from wherry.cli.errors import CliError
from wherry.cli.flags import Command
from wherry.client.registry_auth import HUB, host_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    server = (options.args or [""])[0]
    host = host_of(server) if server else HUB
    # Under these addresses older programs have kept credentials.
    names = [server, host, f"http://{host}", f"https://{host}"] if server else [HUB]
    app.line(f"Removing login credentials for {host}")
    errors = {}
    for name in names:
        try:
            store_for(app.config, name).erase(name)
        except CliError as error:
            errors[name] = str(error)
    if len(errors) == len(names):
        app.complain("WARNING: could not erase credentials:")
        for name, why in errors.items():
            app.line(f"{name}: {why}")
    return 0


LOGOUT = Command(
    _run,
    usage="[SERVER]",
    short="Log out from a registry",
    long="Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
    maximum=1,
)
