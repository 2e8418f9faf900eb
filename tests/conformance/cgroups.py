"""Where a container's control group is, in a v1, hybrid or v2 layout; only looked at and, empty, removed."""

from __future__ import annotations

from pathlib import Path


class Cgroups:
    """The machine's hierarchies."""

    def __init__(self) -> None:
        self.v1: dict[str, Path] = {}
        self.v2: Path | None = None
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split()
            point = Path(before.split()[4])
            if kind == "cgroup2":
                self.v2 = self.v2 or point
            elif kind == "cgroup":
                self.v1.update({name: point for name in options.split(",") if name not in {"rw", "ro"}})

    @property
    def tops(self) -> list[Path]:
        """Every hierarchy's root."""
        return sorted({*self.v1.values(), *([self.v2] if self.v2 else [])})

    @property
    def unified(self) -> bool:
        """Whether the controllers are the v2 hierarchy's."""
        return not self.v1

    @property
    def anywhere(self) -> str:
        """A controller that every layout has, as ``of`` names it: to see where a process is."""
        return "pids" if "pids" in self.v1 else ""

    def has(self, controller: str) -> bool:
        """Whether a v1 controller is mounted."""
        return controller in self.v1

    def v2_controllers(self) -> set[str]:
        return set((self.v2 / "cgroup.controllers").read_text().split()) if self.v2 else set()

    def file(self, controller: str, path: str, name: str) -> Path:
        """A control file of the group at ``path``: its v1 hierarchy's, or the one of v2."""
        top = self.v1.get(controller) or self.v2
        assert top is not None
        return top / path.lstrip("/") / name

    def groups(self, path: str) -> list[Path]:
        """The directories that exist at ``path``, in every hierarchy."""
        return [top / path.lstrip("/") for top in self.tops if (top / path.lstrip("/")).is_dir()]

    def remove(self, path: str) -> None:
        """Remove an empty group with its empty children everywhere."""
        for group in self.groups(path):
            for below in sorted((item for item in group.rglob("*") if item.is_dir()), reverse=True):
                below.rmdir()
            group.rmdir()

    @staticmethod
    def of(pid: int) -> dict[str, str]:
        """The group of a process by controller; v2's under the empty name."""
        found = {}
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            found.update(dict.fromkeys(names.split(","), path))
        return found
