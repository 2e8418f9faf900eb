"""A request from its head to its answer: route, authorization, handler, errors, observers."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence

from wherry.lib.errors import WherryError
from wherry.registry import names, routes
from wherry.registry.config import Settings
from wherry.registry.context import Context
from wherry.registry.errors import (
    AccessDenied,
    AccessRefused,
    BadName,
    Fault,
    NameUnknown,
    NotServing,
    RegistryError,
    Unsupported,
)
from wherry.registry.handlers import blobs, lists, manifests, uploads
from wherry.registry.health import Health
from wherry.registry.hooks import DELETE, PULL, PUSH, Access
from wherry.registry.http.message import Request, Response, failure
from wherry.registry.routes import Target, find_route

_log = logging.getLogger(__name__)

Handler = Callable[[Context, Request, Target], Response]
VERSION_HEADER = {"Docker-Distribution-Api-Version": "registry/2.0"}

READS: Mapping[tuple[str, str], Handler] = {
    (routes.BASE, "GET"): lists.answer_base,
    (routes.CATALOG, "GET"): lists.list_repositories,
    (routes.TAGS, "GET"): lists.list_tags,
    (routes.REFERRERS, "GET"): lists.list_referrers,
    (routes.MANIFEST, "GET"): manifests.get_manifest,
    (routes.BLOB, "GET"): blobs.get_blob,
}
"""GET answers HEAD too."""
CHANGES: Mapping[tuple[str, str], Handler] = {
    (routes.MANIFEST, "PUT"): manifests.put_manifest,
    (routes.MANIFEST, "DELETE"): manifests.delete_manifest,
    (routes.BLOB, "DELETE"): blobs.delete_blob,
    (routes.UPLOADS, "POST"): uploads.begin,
    (routes.UPLOAD, "GET"): uploads.show,
    (routes.UPLOAD, "PATCH"): uploads.add,
    (routes.UPLOAD, "PUT"): uploads.finish,
    (routes.UPLOAD, "DELETE"): uploads.cancel,
}
"""Not to be had when the registry is read-only."""


class App:
    """What the server calls."""

    def __init__(self, context: Context, health: Health) -> None:
        self._context = context
        self._health = health
        self._prefix = context.settings.prefix

    def handle(self, request: Request) -> Response:
        """The answer; every failure but the client's own is one."""
        target = find_route(request.path) if self._strip_prefix(request) else None
        request.route = target.route if target else ""
        for observer in self._context.observers:
            observer.began(request)
        try:
            response = self._route(request, target)
        except RegistryError as error:
            response = failure(error)
        except ConnectionError:
            raise
        except (WherryError, OSError) as error:
            response = failure(_fault(request, error))
        except Exception:  # noqa: BLE001  one request's fault must not cost the client its answer, nor us the thread
            _log.exception("%s %s", request.method, request.target)
            response = failure(Fault())
        if request.path.startswith("/v2"):
            response.headers = {**VERSION_HEADER, **response.headers}
        return response

    def _strip_prefix(self, request: Request) -> bool:
        """Whether the path is below the configured prefix, which it then loses."""
        if not request.path.startswith(f"{self._prefix}/"):
            return False
        request.path = request.path[len(self._prefix) :]
        return True

    def _route(self, request: Request, target: Target | None) -> Response:
        if failing := self._health.failing():
            raise NotServing(detail=failing)
        if target is None:
            return self._elsewhere(request)
        method = "GET" if request.method == "HEAD" else request.method
        handler = READS.get((target.route, method)) or CHANGES.get((target.route, method))
        if handler is None:
            raise Unsupported(headers={"Allow": ", ".join(_allowed(target.route))})
        if target.name:
            names.check_name(target.name)
        self._authorize(request, target)
        settings = self._context.settings
        if (target.route, method) in CHANGES:
            _writable(settings, proxied=self._context.upstream is not None)
        return handler(self._context, request, target)

    def _elsewhere(self, request: Request) -> Response:
        """``/`` says that the registry lives, as Docker's does; under it there is nothing else."""
        if request.path == "/" and request.method in ("GET", "HEAD"):
            return Response(headers={"Cache-Control": "no-cache"})
        if request.path.startswith(routes.ROOT) and not self._prefix:
            raise BadName(detail="not a path of the registry's API", status=404)
        raise NameUnknown("page not found")

    def _authorize(self, request: Request, target: Target) -> None:
        authorizer = self._context.authorizer
        if authorizer is None:
            return
        accesses = _accesses(request, target)
        source = request.query.text("from")
        if target.route == routes.UPLOADS and request.query.text("mount") and names.is_name(source):
            try:
                request.user = authorizer.authorize(request, [*accesses, Access("repository", source, PULL)])
            except (AccessRefused, AccessDenied) as refused:
                # Who may push here and not pull there gets an upload in place of the mount; who may do neither is
                # told what the two together take.
                try:
                    request.user = authorizer.authorize(request, accesses)
                except (AccessRefused, AccessDenied):
                    raise refused from None
                request.mountable = False
            return
        request.user = authorizer.authorize(request, accesses)


def _accesses(request: Request, target: Target) -> Sequence[Access]:
    """What a request needs, in the words of token scopes; as in Docker's registry."""
    if target.route == routes.BASE:
        return []
    if target.route == routes.CATALOG:
        return [Access("registry", "catalog", "*")]
    actions = {"GET": (PULL,), "HEAD": (PULL,), "DELETE": (DELETE,)}.get(request.method, (PULL, PUSH))
    if target.route in (routes.UPLOADS, routes.UPLOAD):
        actions = (PULL, PUSH)
    return [Access("repository", target.name, action) for action in actions]


def _allowed(route: str) -> list[str]:
    methods = [method for table in (READS, CHANGES) for (of, method) in table if of == route]
    return sorted([*methods, "HEAD"]) if "GET" in methods else sorted(methods)


def _writable(settings: Settings, *, proxied: bool) -> None:
    if settings.readonly:
        raise Unsupported("the registry is read-only")
    if proxied:
        raise Unsupported("a pull-through cache takes no pushes")


def _fault(request: Request, error: Exception) -> RegistryError:
    """What of a failure of the storage the client is told."""
    _log.error("%s %s: %s", request.method, request.target, error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NotServing("no space left in the registry's storage")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return Fault("the registry's storage has a symbolic link where none may be")
    return Fault(detail=None if isinstance(error, OSError) else str(error))
