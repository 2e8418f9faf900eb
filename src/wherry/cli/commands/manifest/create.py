"""``wherry manifest create``: begin a list of images on this machine."""

from __future__ import annotations

from wherry.cli.commands.manifest.remote import Remote
from wherry.cli.drafts import INDEXES, Drafts, name_of
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    given = options.args[0]
    target = name_of(given, f"error parsing name for manifest list {given}: ")
    name = target.full
    drafts = Drafts(app.config)
    remote = Remote(app, insecure=options["insecure"])
    if drafts.exists(name) and not options["amend"]:
        raise CliError("refusing to amend an existing manifest list with no --amend flag")
    for text in options.args[1:]:
        named = name_of(text)
        ref = named.full
        entry = drafts.get(name, ref)
        if entry is None:
            entry = remote.fetch(named)
            if entry.descriptor["mediaType"] in INDEXES:
                raise CliError(f"{ref} is a manifest list")
        drafts.save(name, entry)
    app.line(f"Created manifest list {name}")
    return 0


CREATE = Command(
    _run,
    usage="MANIFEST_LIST MANIFEST [MANIFEST...]",
    short="Create a local manifest list for annotating and pushing to a registry",
    options=(
        Option("amend", "a", "bool", "Amend an existing manifest list"),
        Option("insecure", "", "bool", "Allow communication with an insecure registry"),
    ),
    minimum=2,
)
