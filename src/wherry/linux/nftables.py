"""nftables through libnftables, and the kernel's own report of who changed what.

``Nftables.run`` takes the language of nft(8); everything in one call is one transaction: all of it happens or none.
``Monitor`` listens to the nfnetlink group that announces every change of any table, so that a flush is seen at once:

    nlmsghdr (type = subsystem 10 << 8 | message) · nfgenmsg (family u8, version u8, id be16) · attributes
    a transaction's changes … NFT_MSG_NEWGEN
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from wherry.linux.netlink import NETLINK_NETFILTER, attributes, messages

NFNLGRP_NFTABLES = 7
_NFNL_SUBSYS_NFTABLES = 10
_NFGENMSG = 4
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1

NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE = 0, 2
NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSET, NFT_MSG_DELSETELEM = 5, 8, 11, 14
NFT_MSG_NEWGEN = 15
_NAME_OF_TABLE = 1
"""NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE: all are 1."""


class NftablesError(Exception):
    """nft refused a transaction; the text is its own explanation."""


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1", use_errno=True)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    return library


class Nftables:
    """A libnftables context, bound to the network namespace of the thread that opens it. One user at a time."""

    def __init__(self) -> None:
        """Raises OSError when libnftables is not installed, or the kernel has no nftables."""
        self._library = _library()
        self._context: int | None = self._library.nft_ctx_new(0)
        if self._context is None:
            raise OSError(ctypes.get_errno() or errno.ENOSYS, "nft_ctx_new")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the context; nothing in the kernel changes."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> str:
        """Carry out ``commands`` as one transaction and return what nft printed. Raises NftablesError."""
        code = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        if code != 0:
            reason: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
            raise NftablesError(reason.decode(errors="replace").strip() or os.strerror(ctypes.get_errno()))
        return output.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a table: the NFT_MSG_* and the table's name (empty for NEWGEN)."""

    message: int
    table: str


class Monitor:
    """A non-blocking socket on which the kernel reports every change of the namespace's tables."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self.socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        self.socket.bind((0, 0))  # a socket without a port is passed over by broadcasts
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()

    def read(self) -> list[Change] | None:
        """The changes reported since the last call; None when some were lost because nobody read in time."""
        found: list[Change] = []
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return None
                raise
            found.extend(_changes(data))


def _changes(data: bytes) -> Iterator[Change]:
    for kind, _, _, body in messages(data):
        subsystem, message = divmod(kind, 256)
        if subsystem != _NFNL_SUBSYS_NFTABLES:
            continue
        table = b""
        if message != NFT_MSG_NEWGEN:
            table = next((value for key, value in attributes(body[_NFGENMSG:]) if key == _NAME_OF_TABLE), b"")
        yield Change(message, table.rstrip(b"\0").decode(errors="replace"))


def quote(name: str) -> str:
    """A string as nft reads it. Names come from configuration that was checked; a quote cannot be escaped in nft."""
    if '"' in name or "\n" in name:
        raise ValueError(f"not a name for nft: {name!r}")
    return f'"{name}"'


def is_identifier(name: str) -> bool:
    """Whether nft takes ``name`` as the name of a table or chain."""
    return bool(name) and name[0].isalpha() and all(c.isalnum() or c in "_-." for c in name) and len(name) < 64
