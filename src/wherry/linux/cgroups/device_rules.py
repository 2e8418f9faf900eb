"""What a list of OCI device rules comes to: one default and its exceptions, as the v1 kernel keeps them. Pure.

The rules of a spec are applied one after the other; ``a`` starts anew. Both kinds of control groups enforce the result:
v1 by writing what changes, v2 by a program (``devices``), systemd by properties.

An access is let through when one allowed exception covers all of it, or (default allow) when no denied one covers any.
"""

from __future__ import annotations

from wherry.linux.cgroups.files import CgroupError, LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Device = tuple[str, int, int]
    """Kind (``b`` or ``c``), major, minor; -1 is any."""

ANY = -1
_MODES = "rwm"
_LARGEST = (1 << 32) - 1


class DeviceRules:
    """The default, and what differs from it. Nothing is allowed at first."""

    __slots__ = ("allow", "exceptions")

    def __init__(self) -> None:
        self.allow = False
        self.exceptions: dict[Device, str] = {}
        """Device → the modes of access that are not as by default, in the order ``rwm``."""

    @property
    def allows_all(self) -> bool:
        """Whether there is nothing to enforce."""
        return self.allow and not self.exceptions

    def sorted(self) -> list[tuple[Device, str]]:
        """The exceptions by major, minor and kind: the same rules always mean the same writes."""
        return sorted(self.exceptions.items(), key=lambda item: (item[0][1:], item[0][0]))

    def apply(self, kind: str, major: int, minor: int, access: str, *, allow: bool) -> None:
        """One rule more. Raises LimitError where v1 would silently not do it."""
        if kind == "a":
            self.allow = allow
            self.exceptions = {}
            return
        device = (kind, major, minor)
        if allow is not self.allow:
            self.exceptions[device] = _modes(self.exceptions.get(device, "") + access)
            return
        self._check_hole(device, access)
        left = "".join(mode for mode in self.exceptions.pop(device, "") if mode not in access)
        if left:
            self.exceptions[device] = left

    def _check_hole(self, device: Device, access: str) -> None:
        """Part of a wildcard cannot be taken back: there is no rule for the rest of it."""
        kind, major, minor = device
        for wider in ((kind, ANY, minor), (kind, major, ANY), (kind, ANY, ANY)):
            held = self.exceptions.get(wider, "")
            if wider != device and set(held) & set(access):
                what = "deny" if self.allow else "allow"
                asked = f"[{_numbers(device)} {access}]"
                hole = f"cannot punch hole in existing wildcard rule [{_numbers(wider)} {held}]"
                raise LimitError(
                    f"unable to remove '{what}' exception: requested rule {asked} "
                    f"not supported by devices cgroupv1 ({hole})"
                )


def merge(rules: Sequence[Mapping[str, Any]]) -> DeviceRules:
    """The rules of ``resources.devices``. Raises CgroupError, LimitError where they punch a hole."""
    merged = DeviceRules()
    for kind, numbers, access, allow in read(rules):
        merged.apply(kind, *numbers, access, allow=allow)
    return merged


def read(rules: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[int, int], str, bool]]:
    """Kind, numbers, access, and whether it allows, of each rule. Raises CgroupError, in runc's words."""
    found = []
    for index, rule in enumerate(rules):
        kind, access = rule.get("type") or "a", rule.get("access")
        if not access:
            raise CgroupError(f"device access at {index} field cannot be empty")
        if kind not in ("a", "b", "c"):
            raise CgroupError(f'invalid cgroup device type "{kind}"')
        if set(access) - set(_MODES):
            raise CgroupError(f'invalid cgroup device access "{access}"')
        numbers = (_number(rule.get("major"), "major"), _number(rule.get("minor"), "minor"))
        found.append((kind, numbers, access, bool(rule.get("allow"))))
    return found


def parse(devices_list: str) -> DeviceRules:
    """What devices.list says of a v1 group; where all is allowed it does not list what is denied."""
    merged = DeviceRules()
    for line in devices_list.splitlines():
        kind, numbers, access = line.split(" ")
        major, _, minor = numbers.partition(":")
        merged.apply(kind, _parsed(major), _parsed(minor), access, allow=True)
    return merged


def transition(current: DeviceRules, target: DeviceRules) -> list[tuple[str, str]]:
    """What to write (file, value) to get from one to the other, disturbing no access that both allow."""
    writes: list[tuple[str, str]] = []
    had = current.exceptions
    if current.allow or current.allow is not target.allow:
        writes.append((_file(allow=target.allow), "a *:* rwm"))
        had = {}
    for device, access in sorted(had.items(), key=lambda item: (item[0][1:], item[0][0])):
        lost = "".join(mode for mode in access if mode not in target.exceptions.get(device, ""))
        if lost:
            writes.append((_file(allow=target.allow), text(device, lost)))
    for device, access in target.sorted():
        gained = "".join(mode for mode in access if mode not in had.get(device, ""))
        if gained:
            writes.append((_file(allow=not target.allow), text(device, gained)))
    return writes


def text(device: Device, access: str) -> str:
    """``c 1:* rwm``, as the v1 kernel reads it."""
    kind, *numbers = device
    return f"{kind} {':'.join('*' if number == ANY else str(number) for number in numbers)} {access}"


def _parsed(number: str) -> int:
    return ANY if number == "*" else int(number)


def _file(*, allow: bool) -> str:
    return "devices.allow" if allow else "devices.deny"


def _modes(access: Iterable[str]) -> str:
    given = set(access)
    return "".join(mode for mode in _MODES if mode in given)


def _numbers(device: Device) -> str:
    """As runc prints it: the kind as its character code."""
    return f"{{{ord(device[0])} {device[1]} {device[2]}}}"


def _number(value: int | None, name: str) -> int:
    if value is None or value < 0:
        return ANY
    if value > _LARGEST:
        raise CgroupError(f"invalid {name} {value}")
    return value
