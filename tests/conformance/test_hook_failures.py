"""config.md and runtime.md: what follows when a hook fails."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from conformance.bundle import shell
from conformance.clauses import MUST, cases, clause
from conformance.container import Container
from conformance.hooks import at, hook, hooks, with_folder
from conformance.yard import Scope, Yard

FAILURES = {
    "prestart": "create",
    "createRuntime": "create",
    "createContainer": "create",
    "startContainer": "start",
}


@dataclass(frozen=True)
class Failure:
    """A container whose hook at one point failed."""

    container: Container
    refused: bool
    order: list[str]
    status: str | None


@pytest.fixture(scope="module")
def failures(shared: Scope, yard: Yard) -> dict[str, Failure]:
    """One container per point, each with a failing hook, a further one behind it, and a poststop hook."""
    found = {}
    for point, operation in FAILURES.items():
        folder = yard.folder("hooks")
        entries = {
            point: [hook("fails", folder, after="exit 3"), hook("next", folder)],
            "poststop": [hook("poststop", folder)],
        }
        one = shared(shell(f"echo program >> {folder}/order"), with_folder(folder), hooks(**entries))
        done = one.create() if operation == "create" else one.made().start()
        if operation == "start":
            # The runtime may or may not keep a record; what runs is over.
            state = one.runtime("state", one.id)
            status = json.loads(state.out)["status"] if state.code == 0 else None
            one.delete("--force")
        else:
            status = "created" if one.id in one.runtime.known() else None
        found[point] = Failure(one, done.failed, (folder / "order").read_text().split(), status)
    return found


@pytest.mark.parametrize(
    "point",
    [at(point, f"a hook that fails is an error of {operation}") for point, operation in FAILURES.items()],
)
def test_failing_hook_is_an_error(failures: dict[str, Failure], point: str) -> None:
    assert failures[point].refused


@pytest.mark.parametrize(
    "point",
    cases(
        "runtime.md#lifecycle",
        MUST,
        *(
            (point, f"a failing {point} hook stops the container: no further hook, no program", point)
            for point in FAILURES
        ),
    ),
)
def test_failing_hook_stops_the_container(failures: dict[str, Failure], point: str) -> None:
    one = failures[point]
    assert "program" not in one.order
    assert "next" not in one.order
    assert one.status in {None, "stopped"}


@pytest.mark.parametrize(
    "point",
    cases(
        "runtime.md#lifecycle",
        MUST,
        *((point, f"after a failing {point} hook the poststop hooks are invoked", point) for point in FAILURES),
    ),
)
def test_failing_hook_leads_to_poststop(failures: dict[str, Failure], point: str) -> None:
    assert failures[point].order[-1] == "poststop"


@pytest.mark.parametrize(
    "point",
    cases(
        "runtime.md#errors",
        MUST,
        *(
            (point, f"after a failing {point} hook nothing of the container is left", point)
            for point in ("prestart", "createRuntime", "createContainer")
        ),
    ),
)
def test_failing_hook_leaves_nothing(failures: dict[str, Failure], yard: Yard, point: str) -> None:
    assert [line for line in yard.leftovers() if failures[point].container.id in line] == []


@clause("config.md#poststart", MUST, "a hook that fails is a warning: start succeeds and the container goes on")
def test_failing_poststart(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    entry = hook("fails", folder, after="exit 3")
    one = box(shell("sleep 100"), hooks(poststart=[entry])).made().started()
    assert one.status == "running"


@clause("runtime.md#lifecycle", MUST, "the poststart hooks behind a failing one are run")
def test_hooks_behind_a_failing_poststart(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    entries = [hook("fails", folder, after="exit 3"), hook("next", folder)]
    one = box(shell("sleep 100"), hooks(poststart=entries)).made()
    one.start()
    assert (folder / "order").read_text().split() == ["fails", "next"]


@clause("config.md#poststop", MUST, "a hook that fails is a warning: delete succeeds")
def test_failing_poststop(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    one = box(hooks(poststop=[hook("fails", folder, after="exit 3")])).made().started().ended()
    assert one.delete().code == 0
    assert one.id not in one.runtime.known()


@clause("runtime.md#lifecycle", MUST, "the poststop hooks behind a failing one are run")
def test_hooks_behind_a_failing_poststop(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    entries = [hook("fails", folder, after="exit 3"), hook("next", folder)]
    box(hooks(poststop=entries)).made().started().ended().delete()
    assert (folder / "order").read_text().split() == ["fails", "next"]


@clause("runtime.md#warnings", MUST, "a warning does not change the operation: what follows a failing hook is the same")
def test_warning_changes_nothing(box: Scope, yard: Yard) -> None:
    folder = yard.folder("hooks")
    one = box(hooks(poststop=[hook("fails", folder, after="exit 3")])).made().started().ended()
    one.delete()
    assert yard.cgroups.groups(f"{yard.parent}/{one.id}") == []
    assert one.made().started().ended().delete().code == 0
