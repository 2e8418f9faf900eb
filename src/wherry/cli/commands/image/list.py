"""``wherry images``: list images."""

from __future__ import annotations

from wherry.cli import tree
from wherry.cli.commands.image.rows import COLUMNS, DIGEST_COLUMNS, IMAGES, listed
from wherry.cli.common import FILTER, FORMAT, filters_query
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.format.rows import show
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_RAW = """repository: {{ .Repository }}
tag: {{.Tag}}
%simage_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}
"""


def _run(app: App, options: Parsed) -> int:
    quiet, digests = options["quiet"], options["digests"]
    filters = options["filter"]
    wanted = options.args[0] if options.args else ""
    if wanted:
        filters = {**filters, "reference": {**filters.get("reference", {}), wanted: True}}
    query = {"all": "1"} if options["all"] else {}
    if options["tree"]:
        from wherry.cli.commands.image.treeview import print_tree

        _check_tree(options)
        wanted_all = {**query, **filters_query(filters), "manifests": "1"}
        print_tree(app, image.listing(app.client, wanted_all), every=options["all"])
        return 0
    found = image.listing(app.client, query | filters_query(filters))
    template = options["format"] or ("" if quiet else app.config.text("imagesFormat"))
    if template == "raw":
        template = "image_id: {{.ID}}" if quiet else _RAW % ("digest: {{.Digest}}\n" if digests else "")
    if template.startswith("table") and template != "table" and digests and "{{.Digest}}" not in template:
        template += "\t{{.Digest}}"
    rows = listed(
        found, trunc=not options["no-trunc"], digests=digests, wants_digest=digests or "{{.Digest}}" in template
    )
    columns = ("ID",) if quiet else DIGEST_COLUMNS if digests else COLUMNS
    show(app, IMAGES, rows, template, columns)
    if wanted and not found and app.path.endswith(" images"):
        _hint(app, wanted)
    return 0


def _check_tree(options: Parsed) -> None:
    """Raise docker's words for what a tree cannot show."""
    for given, name in (("quiet", "quiet"), ("no-trunc", "no-trunc"), ("digests", "show-digest"), ("format", "format")):
        if options[given]:
            raise CliError(f"--{name} is not yet supported with --tree")


def _hint(app: App, wanted: str) -> None:
    if wanted in tree.GROUPS["image"][1] or wanted == "list":
        app.complain(f'\nNo images found matching "{wanted}": did you mean "wherry image {wanted}"?')


_OPTIONS = (
    Option("all", "a", "bool", "Show all images (default hides intermediate images)"),
    Option("digests", "", "bool", "Show digests"),
    FILTER,
    FORMAT,
    Option("no-trunc", "", "bool", "Don't truncate output"),
    Option("quiet", "q", "bool", "Only show image IDs"),
    Option("tree", "", "bool", "List multi-platform images as a tree (EXPERIMENTAL)", since="1.47"),
)
LS = Command(
    _run,
    usage="[OPTIONS] [REPOSITORY[:TAG]]",
    short="List images",
    options=_OPTIONS,
    maximum=1,
    aliases="image ls, image list, images",
)
