"""``wherry rmi``: remove images."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.client import image
from wherry.client.errors import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    query: dict[str, str | list[str]] = {}
    if options["force"]:
        query["force"] = "1"
    if options["no-prune"]:
        query["noprune"] = "1"
    if options["platform"]:
        from wherry.cli.platforms import as_json

        query["platforms"] = [as_json(one, "") for one in options["platform"]]
    errors = []
    fatal = False
    for name in options.args:
        try:
            done = image.remove(app.client, name, query)
        except ClientError as error:
            fatal = fatal or not (isinstance(error, ApiError) and error.status == 404)
            errors.append(str(error))
            continue
        for one in done:
            app.line(f"Deleted: {one['Deleted']}" if one.get("Deleted") else f"Untagged: {one.get('Untagged', '')}")
    if errors:
        if not options["force"] or fatal:
            raise CliError("\n".join(errors))
        app.complain("\n".join(errors))
    return 0


RMI = Command(
    _run,
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Remove one or more images",
    options=(
        Option("force", "f", "bool", "Force removal of the image"),
        Option("no-prune", "", "bool", "Do not delete untagged parents"),
        Option(
            "platform",
            "",
            "strings",
            'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
            since="1.50",
        ),
    ),
    minimum=1,
    aliases="image rm, image remove, rmi",
)
