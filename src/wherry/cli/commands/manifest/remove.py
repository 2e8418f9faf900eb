"""``wherry manifest rm``: forget lists put together on this machine."""

from __future__ import annotations

from wherry.cli.drafts import Drafts, name_of
from wherry.cli.errors import CliError, join
from wherry.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed


def _run(app: App, options: Parsed) -> int:
    drafts = Drafts(app.config)
    errors = []
    for text in options.args:
        try:
            target = name_of(text)
            name = target.full
            if not drafts.exists(name):
                errors.append(f"No such manifest: {name}")
            drafts.remove(name)
        except CliError as error:
            errors.append(str(error))
    join(errors)
    return 0


REMOVE = Command(
    _run,
    usage="MANIFEST_LIST [MANIFEST_LIST...]",
    short="Delete one or more manifest lists from local storage",
    minimum=1,
)
