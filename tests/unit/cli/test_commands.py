"""Every command of the tree: it loads, explains itself, and costs no more at start than promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wherry
from wherry.cli import help as texts
from wherry.cli import tree
from wherry.cli.flags import Command
from wherry.cli.main import run

SOURCE = str(Path(wherry.__file__).parent.parent)
BUILT = [[name] for name, (_, place) in {**tree.COMMON, **tree.TOP}.items() if place] + [
    [group, name] for group, (_, table) in tree.GROUPS.items() for name, (_, place) in table.items() if place
]
UNBUILT = [[name] for name, (_, place) in {**tree.COMMON, **tree.TOP}.items() if not place] + [
    [group] for group, (_, table) in tree.GROUPS.items() if not table
]


@pytest.mark.parametrize("words", BUILT, ids=" ".join)
def test_loads_and_explains_itself(words, capfd):
    assert run([*words, "--help"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith(f"Usage:  wherry {' '.join(words)}")
    name, row = tree.find(words)
    assert row is not None
    module, _, attribute = row[1].partition(":")
    loaded = __import__(f"wherry.cli.commands.{module}", fromlist=[attribute])
    command = getattr(loaded, attribute)
    assert isinstance(command, Command)
    assert (command.long or command.short) in shown
    assert row[0] == command.short, name
    shorts = [option.short for option in command.options if option.short]
    assert len(shorts) == len(set(shorts))


@pytest.mark.parametrize("words", UNBUILT, ids=" ".join)
def test_what_is_not_built_says_so(words, capfd):
    assert run(words) == 1
    assert capfd.readouterr().err == f"wherry: '{words[0]}' is not built yet\n"


@pytest.mark.parametrize(
    ("words", "err"),
    [
        (["foo"], "wherry: unknown command: wherry foo\n\nRun 'wherry --help' for more information\n"),
        (["image", "build"], "wherry: 'image build' is not built yet\n"),
        (
            ["volume", "foo"],
            (
                "wherry: unknown command: wherry volume foo\n\nUsage:  wherry volume\n\n"
                "Run 'wherry volume --help' for more information\n"
            ),
        ),
        (["help", "foo"], "unknown help topic: foo\n"),
        (["--tls", "ps"], "wherry: --tls is not built yet\n"),
    ],
)
def test_says_what_it_does_not_know(words, err, capfd):
    assert run(words) == 1
    assert capfd.readouterr().err == err


def test_the_root_lists_what_is_built():
    shown = texts.root()
    assert "  run         Create and run a new container from an image\n" in shown
    assert "  network     Manage networks\n" in shown
    assert "  push        Upload an image to a registry\n" in shown
    assert "  manifest    Manage Docker image manifests and manifest lists\n" in shown
    assert "  build " not in shown
    assert "  swarm " not in shown


HEAVY = "json re enum socket signal threading typing dataclasses collections functools subprocess argparse".split()
"""What one of these costs is a tenth to a third of what a whole command may."""


@pytest.mark.parametrize(
    "words",
    [["version"], ["ps"], ["images"], ["run", "x"], ["exec", "x", "y"], ["rm", "x"], ["logs", "x"], ["inspect", "x"]],
)
def test_starts_light(words):
    """A command's file and all that it imports at start load no module of the standard library that is slow to load."""
    _, row = tree.find(words[:1])
    assert row is not None
    module, _, _ = row[1].partition(":")
    script = (
        f"import sys; sys.path.insert(0, {SOURCE!r}); import wherry.cli.main, wherry.client.client, "
        f"wherry.cli.commands.{module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-ISE", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
