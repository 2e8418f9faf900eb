"""Manifests of a registry, fetched and pushed through the daemon."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from wherry.cli import reference
from wherry.cli.credentials import credentials
from wherry.cli.drafts import Entry
from wherry.cli.errors import CliError
from wherry.client import registry
from wherry.client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.client.registry_auth import RegistryAuth

_NOT_FOUND = 404


class Remote:
    """The registries as one command sees them; credentials are looked up once for each, a helper may ask the user."""

    def __init__(self, app: App, *, insecure: bool) -> None:
        self._app = app
        self._query = {"insecure": "1"} if insecure else {}
        self._known: dict[str, RegistryAuth] = {}

    def fetch(self, named: reference.Reference) -> Entry:
        """A manifest or an index as it is at its registry. Raises ``CliError``."""
        try:
            answer = registry.manifest(self._app.client, named.full, self._query, self._auth(named.domain))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                raise CliError(f"no such manifest: {named.full}") from error
            raise CliError(str(error)) from error
        raw = a2b_base64(answer["Raw"])
        descriptor = {"mediaType": answer["MediaType"], "digest": answer["Digest"], "size": len(raw)}
        if answer.get("Platform"):
            descriptor["platform"] = answer["Platform"]
        return Entry(named.full, descriptor, raw)

    def put(self, target: reference.Reference, name: str, entry: Entry) -> str:
        """Push one document; its blobs come over from the repository that it was found in. Returns its digest."""
        source = reference.parse(entry.ref).name if entry.ref else ""
        body = {
            "MediaType": entry.descriptor["mediaType"],
            "Raw": b2a_base64(entry.raw, newline=False).decode(),
            "Source": "" if source == target.name else source,
        }
        answer = registry.put_manifest(self._app.client, name, self._query, body, self._auth(target.domain))
        return str(answer.get("Digest", ""))

    def _auth(self, domain: str) -> RegistryAuth:
        if domain not in self._known:
            self._known[domain] = credentials(self._app, domain)
        return self._known[domain]
