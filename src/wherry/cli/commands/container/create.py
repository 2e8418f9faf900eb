"""``wherry create``, and what ``run`` shares with it."""

from __future__ import annotations

import os

from wherry.cli import reference
from wherry.cli.app import NAME
from wherry.cli.commands.container.config import create_body
from wherry.cli.commands.container.options import CONTAINER, pull_option
from wherry.cli.errors import CliError
from wherry.cli.flags import Command
from wherry.cli.terminal import size
from wherry.client import container
from wherry.client.errors import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_WHEN = ("always", "missing", "never", "")


def with_help(error: object, verb: str) -> str:
    """An error as ``run`` and ``create`` show it."""
    return f"{NAME}: {error}\n\nRun '{NAME} {verb} --help' for more information"


def request_body(app: App, options: Parsed, verb: str) -> dict[str, Any]:
    """The create request's body. Raises ``CliError`` 125 for options that make no sense."""
    when = options["pull"]
    if when not in _WHEN:
        why = f'invalid pull option: \'{when}\': must be one of "always", "missing" or "never"'
        raise CliError(with_help(why, verb), 125)
    try:
        return create_body(options, proxies=app.config.proxies(app.host()))
    except ValueError as error:
        raise CliError(with_help(error, verb), 125) from error


def create_container(app: App, options: Parsed, body: dict[str, Any]) -> str:
    """Create it, pulling the image if need be; return its id. Raises ``CliError`` or ``ClientError``."""
    if options["use-api-socket"]:
        raise CliError("--use-api-socket is not built yet")
    cid_file = _open_cid_file(options["cidfile"])
    written = False
    try:
        answer = _create(app, options, body)
        for warning in [*(answer.get("Warnings") or []), *_dns_warning(body["HostConfig"]["Dns"])]:
            app.complain(f"WARNING: {warning}")
        identity = str(answer["Id"])
        if cid_file is not None:
            os.write(cid_file, identity.encode())
            written = True
        return identity
    finally:
        if cid_file is not None:
            os.close(cid_file)
            if not written:
                os.unlink(options["cidfile"])


def _create(app: App, options: Parsed, body: dict[str, Any]) -> Any:
    image = body["Image"]
    named = None
    if not reference.is_identifier(image):
        try:
            named = reference.parse(image).with_default_tag()
        except ValueError:
            if not image.startswith("sha256:"):
                raise
    _fit_version(app, options, body)
    platform = _platform(options["platform"])
    if options["pull"] == "always":
        _pull(app, options, image)
    try:
        return container.create(app.client, body, name=options["name"], platform=platform)
    except ApiError as error:
        if error.status != 404 or named is None or options["pull"] not in {"missing", ""}:
            raise
    if not options["quiet"]:
        app.complain(f"Unable to find image '{named.familiar_name}{named.suffix()}' locally")
    _pull(app, options, image)
    return container.create(app.client, body, name=options["name"], platform=platform)


def _platform(text: str) -> str:
    """The platform by its own name. Raises ``ValueError``."""
    if not text:
        return ""
    from wherry.cli import platforms

    try:
        return platforms.shown(platforms.parse(text))
    except ValueError as error:
        raise ValueError(f"error parsing specified platform: {error}") from error


def _fit_version(app: App, options: Parsed, body: dict[str, Any]) -> None:
    """Leave out what this API version does not have, and refuse what it cannot do."""
    client = app.client
    host = body["HostConfig"]
    if client.at_least("1.42"):
        host.pop("KernelMemory", None)
    if client.at_least("1.44"):
        body.pop("MacAddress", None)
    else:
        endpoints = body["NetworkingConfig"]["EndpointsConfig"].values()
        for wanted, feature in (
            (body.get("Healthcheck", {}).get("StartInterval"), "specify health-check start interval"),
            (any(endpoint["MacAddress"] for endpoint in endpoints), "specify mac-address per network"),
        ):
            if wanted:
                raise ValueError(
                    f'"{feature}" requires API version 1.44, but the wherry daemon API version is {client.version}'
                )
        if any(mount.get("BindOptions", {}).get("ReadOnlyForceRecursive") for mount in host.get("Mounts", [])):
            raise ValueError("bind-recursive=readonly requires API v1.44 or later")
        if not body.get("MacAddress"):
            body.pop("MacAddress", None)
    host["ConsoleSize"] = [0, 0] if options["platform"] and not client.at_least("1.42") else list(size(1))


def _pull(app: App, options: Parsed, image: str) -> None:
    from wherry.cli.commands.image.pull import pull_image

    pull_image(app, image, platform=options["platform"], quiet=options["quiet"])


def _open_cid_file(path: str) -> int | None:
    if not path:
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise ValueError(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from None
    except OSError as error:
        why = f"open {path}: {(error.strerror or '').lower()}"
        raise ValueError(f"failed to create the container ID file: {why}") from error


def _dns_warning(servers: list[str]) -> list[str]:
    local = next((one for one in servers if one.startswith("127.") or one == "::1"), "")
    return [f"Localhost DNS ({local}) may fail in containers."] if local else []


def _run(app: App, options: Parsed) -> None:
    body = request_body(app, options, "create")
    try:
        app.line(create_container(app, options, body))
    except ValueError as error:
        raise CliError(str(error)) from error
    except ClientError as error:
        raise CliError(str(error)) from error


CREATE = Command(
    _run,
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short="Create a new container",
    options=(*CONTAINER, pull_option('Pull image before creating ("always", "|missing", "never")')),
    minimum=1,
    interspersed=False,
    aliases="container create, create",
)
