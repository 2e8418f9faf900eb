"""Registries as a client sees them: where they are, how to be let in, and what distribution-spec lets one ask.

Everything blocks and is used from worker threads. ``Registries`` is made once per daemon; ``Repository`` per operation.
"""

from wherry.transfer.remote.blob import BlobReader
from wherry.transfer.remote.credentials import Credentials, decode_auth
from wherry.transfer.remote.manifests import Fetched
from wherry.transfer.remote.registries import Registries
from wherry.transfer.remote.repository import Repository
from wherry.transfer.remote.settings import RegistrySettings
from wherry.transfer.remote.stop import Stop

__all__ = [
    "BlobReader",
    "Credentials",
    "Fetched",
    "Registries",
    "RegistrySettings",
    "Repository",
    "Stop",
    "decode_auth",
]
