"""``wherry image inspect``."""

from __future__ import annotations

from wherry.cli.common import INSPECT_FORMAT
from wherry.cli.flags import Command, Option
from wherry.cli.inspecting import inspect
from wherry.client import image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_PLATFORM = """Inspect a specific platform of the multi-platform image.
If the image or the server is not multi-platform capable, the command will error out if the platform does not match.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"""


def _run(app: App, options: Parsed) -> int:
    query = {}
    if options["platform"]:
        from wherry.cli.platforms import as_json

        query["platform"] = as_json(options["platform"], "")
    return inspect(app, options.args, options["format"], lambda name: image.inspect(app.client, name, query))


INSPECT = Command(
    _run,
    usage="[OPTIONS] IMAGE [IMAGE...]",
    short="Display detailed information on one or more images",
    options=(INSPECT_FORMAT, Option("platform", "", "string", _PLATFORM, since="1.49")),
    minimum=1,
)
