"""Manifests of a registry, fetched through the daemon."""

from __future__ import annotations

from binascii import a2b_base64

from wherry.cli.credentials import credentials
from wherry.cli.drafts import Entry
from wherry.cli.errors import CliError
from wherry.client import registry
from wherry.client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli import reference
    from wherry.cli.app import App

_NOT_FOUND = 404


def query_of(*, insecure: bool) -> dict[str, str]:
    """The parameters of every call."""
    return {"insecure": "1"} if insecure else {}


def fetch(app: App, named: reference.Reference, *, insecure: bool) -> Entry:
    """A manifest or an index as it is at its registry. Raises ``CliError``."""
    shown = f"{named.name}{named.suffix()}"
    auth = credentials(app, named.domain)
    try:
        answer = registry.manifest(app.client, shown, query_of(insecure=insecure), auth)
    except ApiError as error:
        if error.status == _NOT_FOUND:
            raise CliError(f"no such manifest: {shown}") from error
        raise CliError(str(error)) from error
    raw = a2b_base64(answer["Raw"])
    descriptor = {"mediaType": answer["MediaType"], "digest": answer["Digest"], "size": len(raw)}
    if answer.get("Platform"):
        descriptor["platform"] = answer["Platform"]
    return Entry(shown, descriptor, raw)
