"""``POST /containers/{id}/update``: what of the body reaches the engine, by the client's API version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unit.api.processes import Containers
from unit.api.serving import on_uvloop, serving
from wherry.api.routes import container
from wherry.wire.container import HostConfig, RestartPolicy, UpdateResponse


class Updated(Containers):
    async def update(self, key: str, change: HostConfig) -> UpdateResponse:
        self.calls.append(("update", key, change))
        return UpdateResponse(warnings=["careful"])


@pytest.mark.parametrize(
    ("version", "body", "change"),
    [
        ("1.50", {"Memory": 5, "Devices": [{}], "Privileged": True}, HostConfig(memory=5)),
        (
            "1.50",
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}},
            HostConfig(restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=2)),
        ),
        ("1.50", {"PidsLimit": -1}, HostConfig(pids_limit=0)),
        ("1.50", {"PidsLimit": None}, HostConfig()),
        ("1.39", {"PidsLimit": 5}, HostConfig()),
        ("1.50", {"KernelMemory": 5}, HostConfig()),
        ("1.41", {"KernelMemory": 5}, HostConfig(kernel_memory=5)),
    ],
)
def test_what_may_change(version: str, body: dict[str, Any], change: HostConfig) -> None:
    """Limits and restart policy; what else there is nobody looks at, as in dockerd."""

    @on_uvloop
    async def run() -> None:
        backend = Updated()
        async with serving(container.routes(backend)) as served:
            answer = await served.ask("POST", f"/v{version}/containers/x/update", json.dumps(body).encode())
            assert (answer.status, answer.json()) == (200, {"Warnings": ["careful"]})
            assert backend.calls[-1] == ("update", "x", change)

    run()
