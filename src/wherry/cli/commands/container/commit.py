"""``wherry commit``: make an image of a container's changes."""

from __future__ import annotations

from wherry.cli import reference
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    repository = tag = ""
    if len(options.args) > 1 and options.args[1]:
        named = reference.given(options.args[1])
        if named.digest:
            raise CliError("refusing to create a tag with a digest reference")
        named = named.with_default_tag()
        repository, tag = named.name, named.tag
    query: dict[str, str | list[str]] = {"author": options["author"]}
    if options["change"]:
        query["changes"] = options["change"]
    query |= {"comment": options["message"], "container": options.args[0]}
    if not options["pause"]:
        query["pause"] = "0"
    app.line(image.commit(app.client, query | {"repo": repository, "tag": tag}))
    return 0


COMMIT = Command(
    _run,
    usage="[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    short="Create a new image from a container's changes",
    options=(
        Option("author", "a", "string", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        Option("change", "c", "list", "Apply Dockerfile instruction to the created image"),
        Option("message", "m", "string", "Commit message"),
        Option("pause", "p", "bool", "Pause container during commit", default=True),
    ),
    minimum=1,
    maximum=2,
    aliases="container commit, commit",
)
