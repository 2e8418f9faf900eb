"""A container's configuration, filled from its image."""

from __future__ import annotations

import pytest

from wherry.engine.containers.merge import merge, merge_env, program
from wherry.lib.errors import InvalidArgument
from wherry.oci.image import ImageConfig
from wherry.wire.container import ContainerConfig

IMAGE = ImageConfig(
    entrypoint=["/entry"], cmd=["serve"], env=["A=image", "B=image"], labels={"a": "image", "b": "image"}
)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "expected"),
    [
        (None, None, ["/entry", "serve"]),
        (None, ["other"], ["/entry", "other"]),
        (["/mine"], None, ["/mine"]),
        (["/mine"], ["x"], ["/mine", "x"]),
        ([""], ["x"], ["x"]),
        ([], None, ["serve"]),
    ],
)
def test_the_program_is_entrypoint_and_command(entrypoint, cmd, expected):
    """An entrypoint of one's own drops the image's command; an empty one drops the image's entrypoint."""
    path, args = program(merge(ContainerConfig(entrypoint=entrypoint, cmd=cmd), IMAGE))
    assert [path, *args] == expected


def test_nothing_to_run_is_refused():
    with pytest.raises(InvalidArgument, match="no command specified"):
        merge(ContainerConfig(), ImageConfig())


def test_the_users_environment_wins_and_comes_first():
    assert merge_env(["B=user", "C=user"], IMAGE.env or ()) == ["B=user", "C=user", "A=image"]


def test_the_users_labels_win():
    assert merge(ContainerConfig(labels={"a": "user"}), IMAGE).labels == {"a": "user", "b": "image"}
