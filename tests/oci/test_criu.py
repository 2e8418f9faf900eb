"""checkpoint and restore by criu(8), where that can do it; else one line that says what is missing."""

from __future__ import annotations

import subprocess

import pytest

from oci.yard import Oci, Yard
from support.commands import find

pytestmark = pytest.mark.root


def test_without_criu(yard: Yard, oci: Oci):
    """The container goes on."""
    oci.run(yard.bundle(yard.config("sleep", "100")))
    oci.options = ["--criu", "no-such-criu"]
    done = oci("checkpoint", "--image-path", yard.path / "images", "box")
    assert (done.code, done.message) == (
        1,
        'criu is not installed: exec: "no-such-criu": executable file not found in $PATH',
    )
    assert oci.state()["status"] == "running"
    assert oci("restore", "--image-path", yard.path / "images", "-b", yard.path / "bundle", "other").code == 1
    oci.ok("delete", "-f", "box")


def test_only_what_runs_is_checkpointed(yard: Yard, oci: Oci):
    oci.create(yard.bundle(yard.config("sleep", "100")))
    done = oci("checkpoint", "box")
    assert done.message == "Container cannot be checkpointed in created state"
    oci.ok("delete", "box")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--manage-cgroups-mode", "maybe"], "Invalid manage cgroups mode"),
        (["--page-server", "nowhere"], "Use --page-server ADDRESS:PORT to specify page server"),
        (["--parent-path", "/absolute"], "--parent-path must be relative"),
        (["--empty-ns", "pid"], 'namespace "pid" is not supported'),
    ],
)
def test_flags_that_make_no_sense(yard: Yard, oci: Oci, words: list[str], said: str):
    oci.run(yard.bundle(yard.config("sleep", "100")))
    assert oci("checkpoint", "--image-path", yard.path / "images", *words, "box").message == said
    oci.ok("delete", "-f", "box")


def test_there_and_back(yard: Yard, oci: Oci):
    """A process goes on where it was stopped."""
    if find("criu") is None or subprocess.run(["criu", "check"], capture_output=True, check=False).returncode != 0:
        pytest.skip("criu is not installed, or cannot work on this kernel")
    script = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.1; done"
    config = yard.config("sh", "-c", script)
    config["root"]["readonly"] = False
    bundle = yard.bundle(config)
    oci.run(bundle)
    images = yard.path / "images"
    oci.ok("checkpoint", "--image-path", images, "box")
    assert oci("state", "box").code == 1
    before = int((yard.rootfs / "tmp/count").read_text())
    done = oci.quiet("restore", "-d", "--image-path", images, "-b", bundle, "box")
    assert done.code == 0, done.err
    oci.wait_for("running")
    assert int((yard.rootfs / "tmp/count").read_text()) >= before
    oci.ok("delete", "-f", "box")


def test_when_criu_fails(yard: Yard, oci: Oci):
    """Its last complaint, and where the rest is; nothing of a restored container is left."""
    failing = yard.path / "criu"
    failing.write_text('#!/bin/sh\necho "Error (criu/some.c:1): No luck today" >&2\nexit 1\n')
    failing.chmod(0o755)
    oci.options = ["--criu", str(failing)]
    bundle = yard.bundle(yard.config("sleep", "100"))
    oci.run(bundle)
    images = yard.path / "images"
    done = oci("checkpoint", "--image-path", images, "box")
    assert done.message == f"criu failed: No luck today; log file: {images}/dump.log"
    assert oci.state()["status"] == "running"
    oci.ok("delete", "-f", "box")
    done = oci("restore", "--image-path", images, "-b", bundle, "box")
    assert done.message == f"criu failed: No luck today; log file: {images}/restore.log"
