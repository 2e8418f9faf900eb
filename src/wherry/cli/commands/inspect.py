"""``wherry inspect``: whatever has that name, a container first, then an image, a network, a volume."""

from __future__ import annotations

from wherry.cli.common import INSPECT_FORMAT
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.inspecting import inspect
from wherry.client import container, image, network
from wherry.client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_TYPES = ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume")
_PATHS = {
    "config": "/configs/",
    "node": "/nodes/",
    "plugin": "/plugins/",
    "secret": "/secrets/",
    "service": "/services/",
    "task": "/tasks/",
    "volume": "/volumes/",
}
_TRIED = ("container", "image", "network", "volume", "plugin")


def _run(app: App, options: Parsed) -> int:
    kind = options["type"]
    listed = '", "'.join(_TYPES)
    if options.given("type") and not kind:
        raise CliError(f'type is empty: must be one of "{listed}"')
    if kind and kind not in _TYPES:
        raise CliError(f'unknown type: "{kind}": must be one of "{listed}"')

    def fetch(name: str) -> bytes:
        for one in (kind,) if kind else _TRIED:
            try:
                raw = _getter(app, one, size=options["size"])(name)
            except ApiError as error:
                if kind or not _skippable(error):
                    raise
                continue
            if options["size"] and one != "container":
                app.complain(f"WARNING: --size ignored for {one}")
            return raw
        raise CliError(f"Error: No such object: {name}")

    return inspect(app, options.args, options["format"], fetch)


def _skippable(error: ApiError) -> bool:
    words = ("not supported", "invalid reference format")
    return error.status in {404, 501} or any(one in str(error) for one in words)


def _getter(app: App, kind: str, *, size: bool) -> Callable[[str], bytes]:
    client = app.client
    if kind == "container":
        return lambda name: container.inspect(client, name, size=size)
    if kind == "image":
        return lambda name: image.inspect(client, name)
    if kind == "network":
        return lambda name: network.inspect(client, name)
    from wherry.client.query import quote

    tail = "/json" if kind == "plugin" else ""
    return lambda name: client.raw("GET", f"{_PATHS[kind]}{quote(name)}{tail}")


INSPECT = Command(
    _run,
    usage="[OPTIONS] NAME|ID [NAME|ID...]",
    short="Return low-level information on Docker objects",
    options=(
        INSPECT_FORMAT,
        Option("size", "s", "bool", "Display total file sizes if the type is container"),
        Option("type", "", "string", "Only inspect objects of the given type"),
    ),
    minimum=1,
)
