"""``wherry manifest push``: bring a list, and its manifests, into the list's repository."""

from __future__ import annotations

from wherry.cli.commands.manifest.remote import Remote
from wherry.cli.drafts import Drafts, Entry, listed, name_of, same_registry
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    target = name_of(options.args[0])
    name = target.full
    drafts = Drafts(app.config)
    entries = drafts.entries(name)
    same_registry(target, entries)
    for entry in entries:
        platform = entry.platform
        if not platform.get("architecture") or not platform.get("os"):
            raise CliError(f"manifest {entry.ref} must have an OS and Architecture to be pushed to a registry")
    remote = Remote(app, insecure=options["insecure"])
    for entry in entries:
        digest = str(entry.descriptor["digest"])
        pinned = f"{target.name}@{digest}"
        app.line(f"Pushed ref {pinned} with digest: {remote.put(target, pinned, entry)}")
    raw = listed([entry.descriptor for entry in entries])
    whole = Entry("", {"mediaType": loads(raw)["mediaType"]}, raw)
    app.line(remote.put(target, name, whole))
    if options["purge"]:
        drafts.remove(name)
    return 0


PUSH = Command(
    _run,
    usage="[OPTIONS] MANIFEST_LIST",
    short="Push a manifest list to a repository",
    options=(
        Option("insecure", "", "bool", "Allow push to an insecure registry"),
        Option("purge", "p", "bool", "Remove the local manifest list after push"),
    ),
    minimum=1,
    maximum=1,
)
