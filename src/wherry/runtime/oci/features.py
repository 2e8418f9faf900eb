"""``features``: what this runtime can do (runtime-spec, features.md and features-linux.md).

Every list is the table that the code itself goes by.
"""

from __future__ import annotations

from wherry import __version__
from wherry.linux.capabilities import NAMES
from wherry.linux.seccomp_rules import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from wherry.runtime.init_mounts import KNOWN_OPTIONS
from wherry.runtime.oci import gojson, output
from wherry.runtime.oci.arguments import Call, Command
from wherry.runtime.oci.validate import HOOKS, NAMESPACES
from wherry.runtime.version import VERSION


def features() -> dict[str, object]:
    """The document."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": VERSION,
        "hooks": list(HOOKS),
        "mountOptions": sorted(KNOWN_OPTIONS),
        "linux": {
            "namespaces": list(NAMESPACES),
            "capabilities": list(NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": sorted(ACTIONS),
                "operators": sorted(OPERATORS),
                "archs": sorted(ARCHITECTURES),
                "knownFlags": sorted(FLAGS),
                "supportedFlags": sorted(FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {
            "io.wherry.version": __version__,
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property."],
    }


def _features(call: Call) -> int:  # noqa: ARG001  it is the same for everybody
    output.out(gojson.encode(features(), "    ") + "\n")
    return 0


COMMAND = Command(
    "features",
    _features,
    usage="show the enabled features",
    arguments="[arguments...]",
    description="""Show the enabled features.
   The result is parsable as a JSON.
   See https://github.com/opencontainers/runtime-spec/blob/main/features.md for its fields.
""",
    least=0,
    most=0,
)
