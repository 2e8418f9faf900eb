"""``wherry tag``: give an image another name."""

from __future__ import annotations

from wherry.cli import reference
from wherry.cli.errors import CliError
from wherry.cli.flags import Command
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    source, target = options.args
    if not (reference.is_identifier(source) or source.startswith("sha256:")):
        _parsed(source)
    named = _parsed(target)
    if named.digest:
        raise CliError("refusing to create a tag with a digest reference")
    named = named.with_default_tag()
    image.tag(app.client, source, named.name, named.tag)
    return 0


def _parsed(text: str) -> reference.Reference:
    return reference.given(text, f'Error parsing reference: "{text}" is not a valid repository/tag: ')


TAG = Command(
    _run,
    usage="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    short="Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    minimum=2,
    maximum=2,
    interspersed=False,
    aliases="image tag, tag",
)
