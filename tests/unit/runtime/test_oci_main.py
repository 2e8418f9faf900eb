from __future__ import annotations

import json

import pytest

from wherry.runtime.oci.main import main


def test_version_spec_and_features(capsys: pytest.CaptureFixture[str]):
    """Each prints what it says."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("wherry-oci version ")
    assert main(["spec"]) == 0
    assert json.loads(capsys.readouterr().out)["process"]["args"] == ["sh"]
    assert main(["features"]) == 0
    assert json.loads(capsys.readouterr().out)["ociVersionMax"] == "1.2.0"


@pytest.mark.parametrize(("command", "reason"), [("create", "is not built yet"), ("dance", "is not a command")])
def test_other_commands_are_refused_by_name(capsys: pytest.CaptureFixture[str], command, reason):
    """Exit code 1, on stderr."""
    assert main([command, "x"]) == 1
    assert f"wherry-oci: {command} {reason}" in capsys.readouterr().err
