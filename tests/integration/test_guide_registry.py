"""The guide's walk through a registry ("Manage Docker Registry"), with the image of our own registry.

Nothing here comes from a network: ``make registry-image`` builds registry:2 from this machine's files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.commands import PROJECT, eventually
from support.daemons import Daemon

IMAGE = "registry:2"


@pytest.fixture(scope="module")
def registry_image(shared_daemon: Daemon) -> Iterator[str]:
    """registry:2, built and given to the daemon as ``make registry-image`` does it."""
    tool = [sys.executable, str(PROJECT / "tools" / "registry_image.py")]
    done = subprocess.run(tool, env=shared_daemon.docker_env(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    yield IMAGE
    shared_daemon.clear()
    shared_daemon.clear_images()


def _serves(daemon: Daemon) -> bool:
    try:
        return daemon.box.fetch("http://localhost:5000/v2/") == "{}"
    except OSError:
        return False


def test_the_image(daemon: Daemon, registry_image: str) -> None:
    """It is small, and looks as Docker's own does to who runs it."""
    (found,) = json.loads(daemon.out("image", "inspect", registry_image))
    assert found["Size"] < 120_000_000
    config = found["Config"]
    assert config["Cmd"] == ["/etc/docker/registry/config.yml"]
    assert config["ExposedPorts"] == {"5000/tcp": {}}
    assert config["Volumes"] == {"/var/lib/registry": {}}
    said = daemon.out("run", "--rm", "--network", "none", registry_image, "--version")
    assert said.startswith("wherry-registry ")
    refused = daemon.docker("run", "--rm", "--network", "none", registry_image, "nothing-here", check=False)
    assert refused.returncode == 1
    assert "nothing-here" in refused.stderr


def test_the_guides_walk(daemon: Daemon, registry_image: str) -> None:
    """Run the registry, tag, push, remove, pull, run; stop it and take it away with its volume."""
    volumes = daemon.out("volume", "ls", "-q")
    daemon.out("run", "-d", "-p", "5000:5000", "--restart=always", "--name", "registry", registry_image)
    eventually("the registry answers on its published port", lambda: _serves(daemon), within=20)

    daemon.docker("image", "tag", "busybox:latest", "localhost:5000/gfg-image")
    pushed = daemon.out("push", "localhost:5000/gfg-image")
    assert "The push refers to repository [localhost:5000/gfg-image]" in pushed
    digest = pushed.rpartition("latest: digest: ")[2].split()[0]
    identifier = daemon.out("image", "inspect", "-f", "{{.Id}}", "busybox:latest")

    daemon.docker("rmi", "localhost:5000/gfg-image")
    pulled = daemon.out("pull", "localhost:5000/gfg-image")
    assert f"Digest: {digest}" in pulled
    assert daemon.out("image", "inspect", "-f", "{{.Id}}", "localhost:5000/gfg-image") == identifier
    assert daemon.out("run", "--rm", "localhost:5000/gfg-image", "echo", "pulled and run") == "pulled and run"

    daemon.docker("container", "restart", "registry")
    eventually("the registry answers again", lambda: _serves(daemon), within=20)
    assert "gfg-image" in daemon.box.fetch("http://localhost:5000/v2/_catalog")

    swept = daemon.out(
        "exec", "registry", "registry", "garbage-collect", "--dry-run", "/etc/docker/registry/config.yml"
    )
    assert "gfg-image: marking manifest sha256:" in swept
    assert "0 blobs and 0 manifests eligible for deletion" in swept

    assert daemon.out("container", "stop", "registry") == "registry"
    assert daemon.inspect("registry")["State"]["ExitCode"] == 0
    daemon.docker("container", "rm", "-v", "registry")
    assert daemon.out("volume", "ls", "-q") == volumes
