"""Control groups behind one protocol, whatever the machine mounts (v1, v2, or both side by side), systemd's or ours.

Import budget: ``os``, ``errno``, ``time`` and ``ctypes`` only (``_socket`` and ``struct`` for systemd): a shim
uses this.

    cgroups = open_hierarchy()             chosen once: v1 as soon as one v1 controller is mounted
    path = cgroups.resolve("…", id)        ``linux.cgroupsPath`` of the OCI spec as a path for the rest: see ``paths``
    cgroups.validate(…)                    refuses what no configuration may say, before anything is made
    cgroups.create("/wherry/<id>")         a directory in every hierarchy; limits are the parent's
    cgroups.apply("/wherry/<id>", …)       the ``linux.resources`` object of the OCI runtime spec
    cgroups.attach("/wherry/<id>", pid)    or enter(cgroups.open_entries(…)), from the process itself: faster on v1
    cgroups.remove("/wherry/<id>")         with what the container made below it; twice is no error

A path is absolute and counts from where the hierarchy is mounted, not from the caller's own cgroup: a daemon that
itself runs in a nested group still makes its containers' groups at the top.

    v1                                       v2
    /sys/fs/cgroup/memory/wherry/<id>/       /sys/fs/cgroup/wherry/<id>/
    /sys/fs/cgroup/pids/wherry/<id>/         controllers enabled in subtree_control on the way down
    /sys/fs/cgroup/systemd/wherry/<id>/      devices: an eBPF program attached to the group

Everything here blocks, freeze, kill and remove for up to their deadline: an event loop calls them in a thread.

    CgroupError            the group cannot be made or entered; ``step`` is what runc says before the message
    └── LimitError         a limit cannot be set
"""

from wherry.linux.cgroups.base import Cgroups, Hierarchy, enter
from wherry.linux.cgroups.detect import open_hierarchy
from wherry.linux.cgroups.files import CgroupError, LimitError
from wherry.linux.cgroups.paths import resolve

__all__ = ["CgroupError", "Cgroups", "Hierarchy", "LimitError", "enter", "open_hierarchy", "resolve"]
