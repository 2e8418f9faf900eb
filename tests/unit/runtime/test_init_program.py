from __future__ import annotations

from pathlib import Path

import pytest

from wherry.runtime.init_errors import NoProgram, StartError, Step
from wherry.runtime.init_exec_find import find_program


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, mode in (("a/run", 0o755), ("b/run", 0o755), ("a/plain", 0o644), ("b/plain", 0o755)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.chmod(mode)
    (tmp_path / "a/directory").mkdir()
    return tmp_path


def test_the_first_executable_on_the_path_wins(tree: Path):
    """What is not executable is passed over."""
    environment = [f"PATH={tree}/none:{tree}/a:{tree}/b"]
    assert find_program("run", environment) == f"{tree}/a/run".encode()
    assert find_program("plain", environment) == f"{tree}/b/plain".encode()


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("nope", 127, 'exec: "nope": executable file not found in $PATH'),
        ("directory", 127, 'exec: "directory": executable file not found in $PATH'),
        ("{tree}/nope", 127, 'exec: "{tree}/nope": stat {tree}/nope: no such file or directory'),
        ("{tree}/a/run/x", 127, 'exec: "{tree}/a/run/x": stat {tree}/a/run/x: not a directory'),
        ("{tree}/a/plain", 126, 'exec: "{tree}/a/plain": permission denied'),
        ("{tree}/a", 126, 'exec: "{tree}/a": is a directory'),
    ],
)
def test_refusals_are_gos_words_with_dockers_codes(tree: Path, name, code, message):
    """127 not found, 126 not executable."""
    with pytest.raises(NoProgram) as caught:
        find_program(name.format(tree=tree), [f"PATH={tree}/a"])
    assert (caught.value.code, str(caught.value)) == (code, message.format(tree=tree))


def test_without_a_path_nothing_is_found():
    """Not even in the working directory."""
    with pytest.raises(NoProgram, match="executable file not found"):
        find_program("sh", [])


def test_a_step_says_what_was_tried():
    """The errno decides the code, the step the words; other exceptions pass."""
    with pytest.raises(StartError, match=r"^mounting x: no such file or directory$") as caught, Step("mounting x"):
        Path("/no/such").stat()
    assert caught.value.code == 127
    with pytest.raises(KeyError), Step("mounting x"):
        raise KeyError("x")
