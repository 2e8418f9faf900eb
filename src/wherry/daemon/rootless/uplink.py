"""slirp4netns: a user's way from a network namespace to the host's network, and the way back for published ports.

It gives the namespace a device ``tap0`` and opens ordinary sockets of the user on the host for what is sent there.
Published ports are asked for on its API socket (slirp4netns(1), API SOCKET).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.lib.errors import Unavailable

GUEST = "10.0.2.100"
"""The namespace's own address on tap0."""
DNS = "10.0.2.3"
_READY_S = 10.0
_ANSWER_S = 5.0
_ANSWER_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Uplink:
    """The running or to be started slirp4netns of one daemon."""

    api: Path

    def start(self, pid: int, alive: int) -> None:
        """Connect the network namespace of ``pid``; it ends when ``alive`` reads end of file. Raises Unavailable."""
        program = shutil.which("slirp4netns")
        if program is None:
            raise Unavailable(
                "slirp4netns is not installed: containers would have no network (apt install slirp4netns)"
            )
        self.api.unlink(missing_ok=True)
        ready, tell = os.pipe()
        words = ["--configure", "--mtu=65520", "--disable-host-loopback", f"--api-socket={self.api}"]
        words += [f"--ready-fd={tell}", f"--exit-fd={alive}", str(pid), "tap0"]
        child = subprocess.Popen(
            [program, *words],
            pass_fds=(tell, alive),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(tell)
        if os.read(ready, 1) != b"1":
            _, said = child.communicate(timeout=_READY_S)
            raise Unavailable(f"slirp4netns failed: {_reason(said.decode(errors='replace'))}")
        os.close(ready)
        if child.stderr is not None:
            child.stderr.close()

    def resolv_conf(self, host: str) -> str:
        """The namespace's: slirp4netns' own name server, with the host's search list and options."""
        kept = [line for line in host.splitlines() if line.split()[:1] not in ([], ["nameserver"])]
        return "\n".join([f"nameserver {DNS}", *kept, ""])

    def forward(self, protocol: str, host_ip: str, port: int) -> int:
        """Listen on the host for ``port`` of the namespace; the forwarding's id. Raises OSError."""
        arguments = {
            "proto": protocol,
            "host_addr": host_ip,
            "host_port": port,
            "guest_addr": GUEST,
            "guest_port": port,
        }
        return int(self._ask("add_hostfwd", arguments)["id"])

    def stop(self, number: int) -> None:
        """End a forwarding. Raises OSError."""
        self._ask("remove_hostfwd", {"id": number})

    def forwardings(self) -> list[int]:
        """Those that are there. Raises OSError."""
        return [int(entry["id"]) for entry in self._ask("list_hostfwd", {})["entries"]]

    def _ask(self, what: str, arguments: dict[str, object]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_S)
            connection.connect(str(self.api))
            connection.sendall(json.dumps({"execute": what, "arguments": arguments}).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while len(answer) < _ANSWER_LIMIT and (data := connection.recv(65536)):
                answer += data
        reply: dict[str, Any] = json.loads(answer)
        if "error" in reply:
            raise OSError(f"slirp4netns: {reply['error'].get('desc', reply['error'])}")
        answered: dict[str, Any] = reply.get("return", reply)
        return answered


def _reason(said: str) -> str:
    if '"/dev/net/tun"): Permission denied' in said:
        return "this user may not open /dev/net/tun: as root run `chmod 666 /dev/net/tun`"
    return "; ".join(said.strip().splitlines()) or "it said nothing"
