"""``--cap-add`` and ``--cap-drop`` as Docker reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.linux.capabilities import DEFAULT, NAMES, available, mask, names, tweak

OFFERED = tuple(name for name in NAMES if name != "CAP_SYS_RESOURCE")


def test_numbers_are_the_kernels() -> None:
    """First, last and one between, and both ways."""
    assert mask(["CAP_CHOWN"]) == 1
    assert mask(["CAP_SYS_ADMIN"]) == 1 << 21
    assert mask(["CAP_CHECKPOINT_RESTORE"]) == 1 << 40
    assert names(mask(DEFAULT)) == tuple(sorted(DEFAULT, key=NAMES.index))


def test_what_a_process_can_hand_on(tmp_path: Path) -> None:
    """Permitted and within the bounding set."""
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapPrm:\t000001fffeffffff\nCapBnd:\t0000000000000003\n")
    assert available(status) == ("CAP_CHOWN", "CAP_DAC_OVERRIDE")


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), DEFAULT),
        (("sys_admin",), (), (*DEFAULT, "CAP_SYS_ADMIN")),
        (("CAP_SYS_ADMIN", "SYS_ADMIN"), (), (*DEFAULT, "CAP_SYS_ADMIN")),
        ((), ("chown",), DEFAULT[1:]),
        ((), ("ALL",), ()),
        (("KILL",), ("all",), ("CAP_KILL",)),
        (("ALL",), (), OFFERED),
        (("ALL",), ("CHOWN",), OFFERED[1:]),
        (("CHOWN",), ("CHOWN",), (*DEFAULT[1:], "CAP_CHOWN")),
    ],
)
def test_adding_and_dropping(add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """With and without the prefix, in any case, with ALL."""
    assert tweak(offered=OFFERED, add=add, drop=drop) == expected


def test_privileged_is_what_the_machine_offers() -> None:
    """Not the whole list: a machine may lack some, and asking for them would fail the start."""
    assert tweak(offered=OFFERED, privileged=True, drop=("ALL",)) == OFFERED


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FOO", 'unknown capability: "CAP_FOO"'),
        (
            "SYS_RESOURCE",
            'capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"',
        ),
    ],
)
def test_refusals(name: str, message: str) -> None:
    """In Docker's words."""
    with pytest.raises(InvalidArgument) as refusal:
        tweak(offered=OFFERED, add=(name,))
    assert str(refusal.value) == message
