"""A hostile registry and a client without patience."""

from __future__ import annotations

import contextlib

import pytest

from support.hostile_registry import HostileRegistry
from wherry.oci.reference import parse_reference
from wherry.transfer.remote import Registries, RegistrySettings


@pytest.fixture
def registry():
    with HostileRegistry() as served:
        yield served


@pytest.fixture
def client():
    """Makes ``Registries`` that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(**settings):
            patience = {"retry_delay": 0.01, "read_timeout": 5.0, "ping_timeout": 5.0, "certs_dirs": ()}
            made = Registries(RegistrySettings(**{**patience, **settings}))
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def repository(registry, client):
    """``team/app`` at the hostile registry."""

    def opened(credentials=None, *, tag="latest", path="team/app", **options):
        name = parse_reference(f"{registry.host}/{path}:{tag}")
        settings = options.pop("settings", {})
        return client(**settings).open(name, credentials, **options)

    return opened
