"""What each API version gets from the routes of images."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wherry.api.routes.image import _inspect, _summary
from wherry.api.server.routing import ApiVersion
from wherry.wire.container import GraphDriver
from wherry.wire.image import ImageInspect, ImageSummary, Metadata, RootFs

IMAGE = ImageInspect(
    id="sha256:a",
    config={"Cmd": ["sh"]},
    container="",
    container_config={},
    size=5,
    graph_driver=GraphDriver(),
    root_fs=RootFs(),
    metadata=Metadata(last_tag_time=""),
)


def shown(model: object) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(model), type=dict[str, Any])


def test_unnamed_images_have_a_placeholder_before_1_43() -> None:
    summary = ImageSummary(id="sha256:a", size=5)
    old, new = shown(_summary(summary, ApiVersion(1, 42))), shown(_summary(summary, ApiVersion(1, 44)))
    assert (old["RepoTags"], old["RepoDigests"], old["VirtualSize"]) == (["<none>:<none>"], ["<none>@<none>"], 5)
    assert (new["RepoTags"], new["RepoDigests"], "VirtualSize" in new) == ([], [], False)
    tagged = shown(_summary(ImageSummary(id="sha256:a", repo_tags=["a:1"]), ApiVersion(1, 42)))
    assert (tagged["RepoTags"], tagged["RepoDigests"]) == (["a:1"], None)


@pytest.mark.parametrize(
    ("minor", "present", "absent"),
    [
        (41, {"VirtualSize", "Container", "ContainerConfig", "Created"}, set()),
        (44, {"Container", "ContainerConfig"}, {"VirtualSize", "Created"}),
        (45, {"RepoTags", "RepoDigests", "Parent", "Comment"}, {"Container", "ContainerConfig"}),
    ],
)
def test_inspect_has_the_members_of_its_version(minor: int, present: set[str], absent: set[str]) -> None:
    members = shown(_inspect(IMAGE, ApiVersion(1, minor))).keys()
    assert present <= members
    assert not absent & members


def test_the_config_is_a_containers_before_1_50() -> None:
    old, new = (shown(_inspect(IMAGE, ApiVersion(1, minor)))["Config"] for minor in (49, 50))
    assert (old["Cmd"], old["Tty"], old["Env"]) == (["sh"], False, None)
    assert new.keys() == {"Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir"}
