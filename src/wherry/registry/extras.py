"""What hangs on a registry beyond its core, made from the settings: metrics, webhooks, the pull-through cache."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Protocol

from wherry.registry.config import Settings
from wherry.registry.context import Context
from wherry.registry.debug import Page
from wherry.registry.hooks import Observer
from wherry.registry.http.message import Response
from wherry.registry.metrics import Metrics
from wherry.registry.metrics_text import CONTENT_TYPE
from wherry.registry.pull_through import PullThrough
from wherry.registry.pull_through_expiry import Expiry
from wherry.registry.pull_through_source import ProxySettings, parse_proxy
from wherry.registry.webhooks import Webhooks
from wherry.registry.webhooks_settings import parse_webhooks


class Part(Protocol):
    """Runs beside the registry."""

    def start(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""


class Extras:
    """Made before the registry serves; ``start`` it with the registry and ``close`` it after."""

    def __init__(self, settings: Settings, context: Context) -> None:
        """Hangs itself on ``context``. Raises InvalidArgument."""
        webhooks = parse_webhooks(settings.notifications)
        self._path = settings.prometheus_path
        self.metrics = Metrics(context.store.driver)
        self._parts: list[Part] = []
        observers: list[Observer] = []
        if self._path:
            observers.append(self.metrics)
        if webhooks.endpoints:
            told = Webhooks(webhooks, _source(settings), self.metrics)
            observers.append(told)
            self._parts.append(told)
        context.observers = (*context.observers, *observers)
        proxy = parse_proxy(settings.proxy)
        if proxy is not None:
            self._be_cache(context, proxy)

    @property
    def pages(self) -> Mapping[str, Page]:
        """For the debug address, by path."""
        return {self._path: self._scrape} if self._path else {}

    def start(self) -> None:
        """Begin what runs beside the registry."""
        for part in self._parts:
            part.start()

    def close(self) -> None:
        """End it, in order."""
        for part in self._parts:
            part.close()

    def _be_cache(self, context: Context, proxy: ProxySettings) -> None:
        from wherry.registry.pull_through_remote import Remote  # noqa: PLC0415 - only where it is asked for

        remote = Remote(proxy)
        self._parts.append(remote)
        if proxy.ttl:
            self._parts.append(Expiry(context.store, proxy.ttl))
        context.upstream = PullThrough(context, remote, self.metrics)

    def _scrape(self) -> Response:
        return Response(headers={"Content-Type": CONTENT_TYPE}, body=self.metrics.scrape())


def _source(settings: Settings) -> str:
    """The registry's address as events tell it: the machine's name and our port."""
    host, _, port = settings.address.rpartition(":")
    return f"{host.strip('[]') or socket.gethostname()}:{port}"
