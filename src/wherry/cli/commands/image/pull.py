"""``wherry pull``: ask the daemon for an image from a registry."""

from __future__ import annotations

from wherry.cli import reference
from wherry.cli.common import PLATFORM, refuse_content_trust
from wherry.cli.credentials import credentials
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.progress import display
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

STDOUT, STDERR = 1, 2


def _request(app: App, named: reference.Reference, *, platform: str, fd: int | None, every: bool = False) -> None:
    query = {"fromImage": named.name}
    if platform:
        query["platform"] = platform.lower()
    if not every:
        query["tag"] = named.digest or named.tag
    display(image.pull(app.client, query, credentials(app, named.domain)).lines(), fd)


def pull_image(app: App, name: str, *, platform: str, quiet: bool) -> None:
    """What ``run`` and ``create`` do for an image that is missing."""
    named = reference.parse(name).with_default_tag()
    _request(app, named, platform=platform, fd=None if quiet else STDERR)


def _run(app: App, options: Parsed) -> int:
    named = reference.given(options.args[0])
    refuse_content_trust(options)
    every, quiet = options["all-tags"], options["quiet"]
    if every and (named.tag or named.digest):
        raise CliError("tag can't be used with --all-tags/-a")
    if not every and not named.tag and not named.digest:
        named = named.with_default_tag()
        if not quiet:
            app.line(f"Using default tag: {named.tag}")
    _request(app, named, platform=options["platform"], fd=None if quiet else STDOUT, every=every)
    app.line(named.full)
    return 0


PULL = Command(
    _run,
    usage="[OPTIONS] NAME[:TAG|@DIGEST]",
    short="Download an image from a registry",
    options=(
        Option("all-tags", "a", "bool", "Download all tagged images in the repository"),
        Option("disable-content-trust", "", "bool", "Skip image verification", default=True),
        PLATFORM,
        Option("quiet", "q", "bool", "Suppress verbose output"),
    ),
    minimum=1,
    maximum=1,
    aliases="image pull, pull",
)
