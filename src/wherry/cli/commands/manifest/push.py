"""``wherry manifest push``: bring a list, and its manifests, into the list's repository."""

from __future__ import annotations

from binascii import b2a_base64

from wherry.cli import reference
from wherry.cli.commands.manifest.remote import query_of
from wherry.cli.credentials import credentials
from wherry.cli.drafts import Drafts, Entry, listed, name_of, same_registry
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import registry
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    target = name_of(options.args[0])
    name = f"{target.name}{target.suffix()}"
    drafts = Drafts(app.config)
    entries = drafts.entries(name)
    same_registry(target, entries)
    for entry in entries:
        platform = entry.platform
        if not platform.get("architecture") or not platform.get("os"):
            raise CliError(f"manifest {entry.ref} must have an OS and Architecture to be pushed to a registry")
    for entry in entries:
        digest = str(entry.descriptor["digest"])
        pinned = f"{target.name}@{digest}"
        put = _put(app, target, pinned, entry, insecure=options["insecure"])
        app.line(f"Pushed ref {pinned} with digest: {put}")
    raw = listed([entry.descriptor for entry in entries])
    whole = Entry("", {"mediaType": loads(raw)["mediaType"]}, raw)
    app.line(_put(app, target, name, whole, insecure=options["insecure"]))
    if options["purge"]:
        drafts.remove(name)
    return 0


def _put(app: App, target: reference.Reference, name: str, entry: Entry, *, insecure: bool) -> str:
    """Push one document; its blobs come over from the repository that it was found in. Returns its digest."""
    source = reference.parse(entry.ref).name if entry.ref else ""
    body = {
        "MediaType": entry.descriptor["mediaType"],
        "Raw": b2a_base64(entry.raw, newline=False).decode(),
        "Source": "" if source == target.name else source,
    }
    auth = credentials(app, target.domain)
    return str(registry.put_manifest(app.client, name, query_of(insecure=insecure), body, auth).get("Digest", ""))


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
