"""The engines, each for the whole session, and a look for leftovers after each test and after all of them.

``WHERRY_TEST_PROVE=1`` runs the script by the peers with their own runtime too, which is how it is proven.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.engines import WHERRY_OCI, Docker, Engine, Podman, crun_words
from support import images
from support.commands import find
from support.daemons import Dockerd, Wherryd, reference_missing

PROVEN = ("podman runc", "dockerd runc") if os.environ.get("WHERRY_TEST_PROVE") else ()
ENGINES = (*PROVEN, "podman wherry-oci", "dockerd wherry-oci", "wherryd runc", "wherryd crun", "wherryd wherry")


@pytest.fixture(scope="session", params=ENGINES)
def session_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One of the engines with one of the runtimes; skipped when one of them is not on the machine."""
    engine, runtime = request.param.split()
    if find("docker") is None:
        pytest.fail("no docker CLI: tools/reference unpacks Debian's", pytrace=False)
    made = _make(engine, runtime, tmp_path_factory.mktemp("interop"))
    left = ["it was not closed"]
    try:
        yield made
    finally:
        left = made.close()
    assert not left, f"left on the machine by {request.param}:\n" + "\n".join(left)


@pytest.fixture
def engine(session_engine: Engine) -> Iterator[Engine]:
    """The engine, without containers. What the test leaves is removed, and must go without a trace."""
    yield session_engine
    session_engine.clear()
    left = session_engine.litter()
    assert not left, "left after the test's containers were removed:\n" + "\n".join(left)


def _make(engine: str, runtime: str, directory: Path) -> Engine:
    image = images.docker_archive(["busybox:latest"], [images.busybox_layer()])
    if runtime in ("runc", "crun") and find(runtime) is None:
        pytest.skip(f"{runtime} is not on this machine: tools/packages installs it")
    if engine == "podman":
        for program in ("podman", "conmon"):
            if find(program) is None:
                pytest.skip(f"{program} is not on this machine: tools/packages installs it")
        return Podman(WHERRY_OCI if runtime == "wherry-oci" else str(find(runtime)), image)
    if engine == "dockerd":
        if reason := reference_missing():
            pytest.skip(reason)
        return Docker(Dockerd(extra=("--add-runtime", f"wherry={WHERRY_OCI}")), runtime.removesuffix("-oci"), image)
    if runtime == "crun":
        return Docker(Wherryd(extra=("--add-runtime", f"crun={crun_words(directory)}")), "crun", image)
    return Docker(Wherryd(), runtime, image)
