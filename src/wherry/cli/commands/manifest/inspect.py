"""``wherry manifest inspect``: a manifest or a list, from this machine or from its registry."""

from __future__ import annotations

from wherry.cli import reference
from wherry.cli.commands.manifest.remote import Remote
from wherry.cli.drafts import INDEXES, Drafts, Entry, listed, name_of, same_registry
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.format.gojson import indent
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    named = name_of(options.args[-1])
    ref = named.full
    drafts = Drafts(app.config)
    verbose = options["verbose"]
    if len(options.args) > 1:
        target = name_of(options.args[0])
        entry = drafts.get(target.full, ref)
        if entry is None:
            raise CliError(f"No such manifest: {ref}")
        return _print(app, entry, verbose=verbose)
    if drafts.exists(ref):
        return _print_list(app, named, drafts.entries(ref), verbose=verbose)
    remote = Remote(app, insecure=options["insecure"])
    found = remote.fetch(named)
    if found.descriptor["mediaType"] not in INDEXES:
        return _print(app, found, verbose=verbose)
    return _print_index(app, remote, named, found, verbose=verbose)


def _print(app: App, entry: Entry, *, verbose: bool) -> int:
    text = entry.document() if verbose else entry.raw.decode("utf-8", "replace")
    app.line(indent(text, "\t"))
    return 0


def _print_list(app: App, named: reference.Reference, entries: Sequence[Entry], *, verbose: bool) -> int:
    if verbose:
        app.line(indent(f"[{','.join(entry.document() for entry in entries)}]", "\t"))
        return 0
    try:
        same_registry(named, entries)
    except CliError as error:
        raise CliError(f"failed to assemble ManifestDescriptor: {error}") from error
    app.line(listed([entry.descriptor for entry in entries]).decode())
    return 0


def _print_index(app: App, remote: Remote, named: reference.Reference, found: Entry, *, verbose: bool) -> int:
    """A registry's list: what it says of its manifests, with ``--verbose`` the manifests themselves."""
    rows = loads(found.raw).get("manifests") or []
    if not verbose:
        app.line(listed(rows).decode())
        return 0
    entries = []
    for row in rows:
        pinned = reference.Reference(named.domain, named.path, named.tag, row["digest"])
        entry = remote.fetch(pinned)
        entry.descriptor["platform"] = row.get("platform") or {}
        entries.append(entry)
    return _print_list(app, named, entries, verbose=True)


INSPECT = Command(
    _run,
    usage="[OPTIONS] [MANIFEST_LIST] MANIFEST",
    short="Display an image manifest, or manifest list",
    options=(
        Option("insecure", "", "bool", "Allow communication with an insecure registry"),
        Option("verbose", "v", "bool", "Output additional info including layers and platform"),
    ),
    minimum=1,
    maximum=2,
)
