"""What config.json must say before anything is made of it: runtime-spec 1.2's schema, and runc's checks in its words.

Pure: what has to be asked of the machine comes as ``Facts``. The cgroup part is ``Cgroups.validate``'s, seccomp
``linux.seccomp``'s, the types ``shape``'s.
"""

from __future__ import annotations

from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.report import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
PROPAGATIONS = tuple(prefix + kind for prefix in ("", "r") for kind in ("private", "shared", "slave", "unbindable"))
_RLIMITS = tuple(
    f"RLIMIT_{name}"
    for name in (
        *("AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS"),
        *("RTPRIO", "RTTIME", "SIGPENDING", "STACK"),
    )
)
_IPC_SYSCTLS = tuple(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_SWAPPED = str.maketrans("./", "/.")


class Facts:
    """What the answers depend on besides the configuration."""

    def __init__(
        self, *, selinux: bool = False, rootless: bool = False, is_host_network: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.selinux = selinux
        self.rootless = rootless
        """Whether the caller is not root."""
        self.is_host_network = is_host_network
        """Whether a path leads to the caller's own network namespace. Raises OSError."""


def validate_process(process: Json | None, facts: Facts) -> None:
    """The part that an exec has too. Raises Failure."""
    if not process:
        raise Failure("process property must not be empty")
    cwd = process.get("cwd")
    if not cwd:
        raise Failure("Cwd property must not be empty")
    if not cwd.startswith("/"):
        raise Failure("Cwd must be an absolute path")
    if not process.get("args"):
        raise Failure("args must not be empty")
    if process.get("selinuxLabel") and not facts.selinux:
        raise Failure("selinux label is specified in config, but selinux is disabled or not supported")
    _rlimits(process.get("rlimits") or ())


def validate(spec: Json, facts: Facts, *, no_pivot: bool = False) -> list[str]:
    """Refuse what cannot be; warnings about what is not as it should be. Raises Failure."""
    warnings: list[str] = []
    _version(spec)
    validate_process(spec.get("process"), facts)
    if not spec.get("root"):
        raise Failure("root must be specified")
    if not spec["root"].get("path"):
        raise Failure("root.path must not be empty")
    for mount in spec.get("mounts") or ():
        warnings += _mount(mount)
    linux = spec.get("linux") or {}
    _devices(linux)
    _propagation(linux, no_pivot=no_pivot)
    present = _namespaces(linux)
    _user_namespace(linux, present)
    _names(spec, present)
    _paths(linux, present)
    _sysctls(linux.get("sysctl") or {}, present, facts)
    _intel_rdt(linux.get("intelRdt") or {})
    if linux.get("timeOffsets") and "time" not in present:
        raise Failure("time namespace offsets are specified but time namespace isn't enabled")
    if facts.rootless:
        _rootless(spec, linux, present)
    _hooks(spec.get("hooks") or {})
    return warnings


def _version(spec: Json) -> None:
    version = spec.get("ociVersion")
    if not version:
        raise Failure("ociVersion must be specified")
    if version.partition(".")[0] != "1":
        raise Failure(f"unsupported ociVersion {quote(version)}: 1.x is supported")


def _rlimits(limits: Any) -> None:
    seen: set[str] = set()
    for limit in limits:
        name = limit.get("type") or ""
        if name not in _RLIMITS:
            raise Failure(f"wrong rlimit value: {name}")
        if name in seen:
            raise Failure(f"rlimit {name} is specified twice")
        for key in ("soft", "hard"):
            if limit.get(key) is None:
                raise Failure(f"rlimit {name}: {key} must be specified")
        seen.add(name)


def _mount(mount: Json) -> list[str]:
    target = mount.get("destination")
    if not target:
        raise Failure(f"invalid mount {mount}: destination must be specified")
    if bool(mount.get("uidMappings")) != bool(mount.get("gidMappings")):
        raise Failure(f"invalid mount {quote(target)}: uidMappings and gidMappings must be specified together")
    for mapping in (*(mount.get("uidMappings") or ()), *(mount.get("gidMappings") or ())):
        _mapping(mapping, f"mount {quote(target)}")
    if target.startswith("/"):
        return []
    future = "Support for non-absolute mount destinations will be removed in a future release."
    return [f"mount destination {target} is not absolute. {future}"]


def _devices(linux: Json) -> None:
    for device in linux.get("devices") or ():
        kind = device.get("type") or ""
        if kind not in ("p", "u", "c", "b"):
            raise Failure(f"invalid device type {quote(kind)}")
        if not (device.get("path") or "").startswith("/"):
            raise Failure(f"device path {quote(device.get('path') or '')} is not absolute")
        if kind != "p" and (device.get("major") is None or device.get("minor") is None):
            raise Failure(f"device {device['path']}: major and minor must be specified")
    for number, rule in enumerate((linux.get("resources") or {}).get("devices") or ()):
        if not rule.get("access"):
            raise Failure(f"device access at {number} field cannot be empty")
        if rule.get("type", "a") not in ("a", "b", "c", ""):
            raise Failure(f"invalid cgroup device type {quote(rule['type'])}")


def _propagation(linux: Json, *, no_pivot: bool) -> None:
    kind = linux.get("rootfsPropagation") or ""
    if kind and kind not in PROPAGATIONS:
        raise Failure(f"rootfsPropagation={kind} is not supported")
    if no_pivot and kind in ("private", "rprivate"):
        raise Failure("rootfsPropagation of [r]private is not safe without pivot_root")


def _namespaces(linux: Json) -> dict[str, str]:
    """Kind → path, empty for a new one."""
    present: dict[str, str] = {}
    for entry in linux.get("namespaces") or ():
        kind, path = entry.get("type") or "", entry.get("path") or ""
        shown = f"{{{quote(kind)} {quote(path)}}}"
        if kind not in NAMESPACES:
            raise Failure(f"namespace {shown} does not exist")
        if kind in present:
            raise Failure(f"malformed spec file: duplicated ns {shown}")
        if path and not path.startswith("/"):
            raise Failure(f"namespace path {path} is not absolute")
        present[kind] = path
    return present


def _user_namespace(linux: Json, present: dict[str, str]) -> None:
    if "user" not in present:
        return
    for name in ("uid", "gid"):
        mappings = linux.get(f"{name}Mappings") or ()
        if not mappings and not present["user"]:
            raise Failure(f"User namespaces enabled, but no {name} mappings found.")
        for mapping in mappings:
            _mapping(mapping, f"{name}Mappings")


def _mapping(mapping: Json, where: str) -> None:
    for key in ("containerID", "hostID", "size"):
        if mapping.get(key) is None:
            raise Failure(f"{where}: {key} must be specified")


def _names(spec: Json, present: dict[str, str]) -> None:
    for name in ("hostname", "domainname"):
        if spec.get(name) and "uts" not in present:
            raise Failure(f"unable to set {name} without a private UTS namespace")


def _paths(linux: Json, present: dict[str, str]) -> None:
    if "mount" not in present and (linux.get("maskedPaths") or linux.get("readonlyPaths")):
        raise Failure("unable to restrict sys entries without a private MNT namespace")


def _sysctls(given: Json, present: dict[str, str], facts: Facts) -> None:
    for written in given:
        name = dotted(written)
        if name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
            if "ipc" not in present:
                raise Failure(f"sysctl {quote(name)} is not allowed in the hosts ipc namespace")
        elif name.startswith("net."):
            _check_network_sysctl(name, present, facts)
        elif name == "kernel.hostname" and "uts" in present:
            raise Failure(f'sysctl {quote(name)} is not allowed as it conflicts with the OCI "hostname" field')
        elif name != "kernel.domainname" or "uts" not in present:
            raise Failure(f"sysctl {quote(name)} is not in a separate kernel namespace")


def _check_network_sysctl(name: str, present: dict[str, str], facts: Facts) -> None:
    host = "network" not in present
    if not host and present["network"]:
        try:
            host = facts.is_host_network(present["network"])
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise Failure(f"invalid netns path: stat {present['network']}: {reason}") from error
    if host:
        raise Failure(f"sysctl {quote(name)} not allowed in host network namespace")


def dotted(name: str) -> str:
    """A sysctl's name with dots between the parts: where a slash comes first the two are exchanged (sysctl.d(5))."""
    separators = [char for char in name if char in "./"]
    return name.translate(_SWAPPED) if separators[:1] == ["/"] else name


def _intel_rdt(given: Json) -> None:
    closid = given.get("closID") or ""
    if closid in (".", "..") or "/" in closid:
        raise Failure(f"invalid intelRdt.ClosID {quote(closid)}")
    if given.get("l3CacheSchema"):
        raise Failure("intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled")
    if given.get("memBwSchema"):
        raise Failure("intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled")


def _rootless(spec: Json, linux: Json, present: dict[str, str]) -> None:
    if "user" not in present:
        raise Failure("rootless container requires user namespaces")
    if present["user"]:
        return
    for name in ("uid", "gid"):
        mappings = linux.get(f"{name}Mappings") or ()
        for mount in spec.get("mounts") or ():
            for option in mount.get("options") or ():
                key, _, number = option.partition("=")
                if key == name and number.isdigit() and not _is_mapped(int(number), mappings):
                    text = f"cannot specify {name}= mount options for unmapped {name} in rootless containers"
                    raise Failure(text)


def _is_mapped(number: int, mappings: Any) -> bool:
    return any(entry["containerID"] <= number < entry["containerID"] + entry["size"] for entry in mappings)


def _hooks(given: Json) -> None:
    for name in HOOKS:
        for number, hook in enumerate(given.get(name) or ()):
            path = hook.get("path") or ""
            if not path.startswith("/"):
                raise Failure(f"{name} hook #{number}: path {quote(path)} is not absolute")
            if hook.get("timeout") is not None and hook["timeout"] <= 0:
                raise Failure(f"{name} hook #{number}: timeout must be greater than zero")
