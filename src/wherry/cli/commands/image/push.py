"""``wherry push``: let the daemon send an image to its registry."""

from __future__ import annotations

from wherry.cli import reference
from wherry.cli.common import refuse_content_trust
from wherry.cli.credentials import credentials
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.notes import note
from wherry.cli.platforms import as_json
from wherry.cli.progress import display
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

STDOUT = 1
_ONE_PLATFORM = (
    "Using `--platform` pushes only the specified platform manifest of a multi-platform image index.\n"
    "Other components, like attestations, will not be included.\n"
    "To push the complete multi-platform image, remove the `--platform` flag.\n"
)
_PLATFORM = """Push a platform-specific manifest as a single-platform image to the registry.
Image index won't be pushed, meaning that other manifests, including attestations won't be preserved.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"""


class _Notes:
    """What the daemon tells of a push beside its progress."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, told: dict[str, Any]) -> None:
        if told.get("manifestPushedInsteadOfIndex"):
            whole, part = (str(told.get(key, {}).get("digest", "")) for key in ("originalIndex", "selectedManifest"))
            self.texts.append(
                "Not all multiplatform-content is present and only the available single-platform image was pushed\n"
                f"\x1b[31m{whole}\x1b[0m -> \x1b[32m{part}\x1b[0m"
            )


def _run(app: App, options: Parsed) -> int:
    query = {}
    if options["platform"]:
        query["platform"] = as_json(options["platform"], f"Invalid platform {options['platform']}")
        note(STDOUT, _ONE_PLATFORM)
    named = _named(app, options)
    refuse_content_trust(options)
    if named.tag:
        query["tag"] = named.tag
    notes = _Notes()
    lines = image.push(app.client, named.name, query, credentials(app, named.domain)).lines()
    try:
        display(lines, None if options["quiet"] else STDOUT, beside=notes.add)
    finally:
        for text in notes.texts:
            note(STDOUT, text)
    if options["quiet"]:
        app.line(named.full)
    return 0


def _named(app: App, options: Parsed) -> reference.Reference:
    """The name to push. Raises ``CliError``."""
    named = reference.given(options.args[0])
    if options["all-tags"]:
        if named.tag or named.digest:
            raise CliError("tag can't be used with --all-tags/-a")
        return named
    if named.digest:
        raise CliError("cannot push a digest reference")
    if not named.tag:
        named = named.with_default_tag()
        if not options["quiet"]:
            app.line(f"Using default tag: {named.tag}")
    return named


PUSH = Command(
    _run,
    usage="[OPTIONS] NAME[:TAG]",
    short="Upload an image to a registry",
    options=(
        Option("all-tags", "a", "bool", "Push all tags of an image to the repository"),
        Option("disable-content-trust", "", "bool", "Skip image signing", default=True),
        Option("platform", "", "string", _PLATFORM, since="1.46"),
        Option("quiet", "q", "bool", "Suppress verbose output"),
    ),
    minimum=1,
    maximum=1,
    aliases="image push, push",
)
