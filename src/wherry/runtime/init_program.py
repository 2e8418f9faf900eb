"""The way from a prepared root to the program, shared by a container's init and by exec.

``Program`` looks everything up while that is safe; ``enter`` is the straight line to execve(2). No step of ``enter``
imports, looks up a codec, or opens a file of the container, except the program itself.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import stat

from wherry.linux import paths, process, pty, signals
from wherry.linux.seccomp_load import Loader
from wherry.linux.syscalls import close_from, encode
from wherry.runtime import users
from wherry.runtime.init_errors import NoProgram, StartError, Step, from_errno, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHANNEL = 3
"""The descriptor of the channel to the shim, see ``init``."""
READY = b"R"
_UMASK = 0o022


class Program:
    """What to run, as whom, and how."""

    def __init__(
        self,
        process_spec: dict[str, Any],
        request: dict[str, Any],
        seccomp: bytes,
        *,
        spec: dict[str, Any] | None = None,
        keep: int = 0,
        user_namespace: bool = False,
    ) -> None:
        self._spec = process_spec
        self._config = spec or {}
        self._keep = keep
        self._user_namespace = user_namespace
        self._args: list[str] = process_spec["args"]
        self._environment: list[str] = list(process_spec.get("env") or ())
        self._cwd: str = process_spec.get("cwd") or "/"
        self._capabilities: dict[str, int] | None = request["capabilities"]
        self._user: str | None = request["user"]
        self._group_add: list[str] = request["group_add"]
        self._tty: bool = request["stdio"]["tty"]
        self._init: bool = request.get("init", False)
        self._lasting: bool = request.get("lasting", False)
        self._filter = Loader(seccomp) if seccomp else None
        self._no_new_privileges = bool(process_spec.get("noNewPrivileges"))
        self._identity = users.Identity(0, 0, (0,), "/")

    def resolve_user(self, root: int) -> None:
        """Find the ids, from the container's own files below ``root``."""
        if self._user is None:
            given = self._spec.get("user") or {}
            groups = (given.get("gid", 0), *(given.get("additionalGids") or ()))
            self._identity = users.Identity(given.get("uid", 0), groups[0], tuple(dict.fromkeys(groups)), "/")
            return
        try:
            passwd = paths.read_bounded(root, "/etc/passwd", users.MAX_FILE)
            group = paths.read_bounded(root, "/etc/group", users.MAX_FILE)
            self._identity = users.resolve(self._user, self._group_add, passwd, group)
        except OSError as error:
            raise from_errno("unable to find user", error.errno) from error
        except users.UserError as error:
            raise StartError(str(error), engine=True) from error
        if not any(entry.startswith("HOME=") and len(entry) > 5 for entry in self._environment):
            self._environment = [entry for entry in self._environment if not entry.startswith("HOME=")]
            self._environment.append(f"HOME={self._identity.home}")

    def make_directory(self, root: int) -> None:
        """Make the working directory if it is missing, as Docker does."""
        with Step(f'mkdir "{self._cwd}"'):
            fd = paths.make_in(root, self._cwd, directory=True)
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        os.close(fd)
        if not is_directory:
            raise StartError(f"Cannot mkdir: {self._cwd} is not a directory", engine=True)

    def protect(self) -> None:
        """What is written to the host's /proc about ourselves: while it still is the host's."""
        score = self._spec.get("oomScoreAdj")
        if score is not None:
            with Step("write oom_score_adj"):
                _write_changed("/proc/self/oom_score_adj", str(score))
        profile = self._spec.get("apparmorProfile")
        if profile and profile != "unconfined" and os.path.isdir("/sys/kernel/security/apparmor"):
            with Step(f"apply apparmor profile {profile}"):
                _write("/proc/self/attr/apparmor/exec", f"exec {profile}")

    def open_terminal(self, root: int, height: int, width: int) -> tuple[int, int]:
        """A new terminal of the container's own devpts: (master, replica)."""
        with Step("open terminal /dev/pts/ptmx"):
            master, replica = pty.open_pair(root)
            if height and width:
                pty.resize(master, height, width)
        return master, replica

    def enter(self, terminal: int, gate: Callable[[], None] | None = None, report: int = -1) -> None:
        """Become the program. Returns never; raises StartError up to the moment that the program replaces us.

        ``report`` is the channel's descriptor, 3 + keep if it is not given; the gate's own is the next one.
        """
        identity = self._identity
        report = 3 + self._keep if report < 0 else report
        # 1. Nothing of the caller's: its keyring, and every descriptor but the standard ones and the way to report.
        process.new_session_keyring()
        for fd in (0, 1, 2) if terminal >= 0 else ():
            os.dup2(terminal, fd)
        close_from(report + 2 if gate else report + 1)
        # 2. Before the working directory is entered nothing else is open that /proc/self/fd/N could lead to
        #    (CVE-2024-21626); as root first, because the user may not be allowed to, and then again as the user.
        entered = self._change_directory(may_fail=True)
        # 3. The user's own pipes and terminal, so that /dev/stdout can be opened again.
        _own_stdio(identity.uid)
        # 4. Late, because our own open files count too.
        self._limit_resources()
        # 5. Without no_new_privs a filter needs CAP_SYS_ADMIN: while we still have it.
        if self._filter and not self._no_new_privileges:
            with Step("error loading seccomp filter into kernel"):
                self._filter.load()
        # 6. Bounding set before the ids change (it needs CAP_SETPCAP), ids before the other sets.
        self._become(identity)
        if not entered:
            self._change_directory(may_fail=False)
        _verify_directory()
        # 7. Changing credentials has reset both.
        process.set_dumpable(0)
        process.set_death_signal(0 if self._lasting else signals.SIGKILL)
        if not self._lasting and _orphaned(report):
            os._exit(1)
        # 8. What can still fail with a good message.
        path = find_program(self._args[0], self._environment)
        arguments = [encode(argument) for argument in self._args]
        environment = _environment(self._environment)
        if gate:
            os.write(report, READY)
            gate()
        # 9. With --init we stay as process 1; everything above holds for both.
        if self._init:
            _split()
        os.setsid()
        if self._tty:
            pty.make_controlling(0)
        os.umask((self._spec.get("user") or {}).get("umask", _UMASK))
        # 10. Last, because the filter may forbid what stands above.
        if self._no_new_privileges:
            with Step("error setting no_new_privs"):
                process.set_no_new_privileges()
            if self._filter:
                with Step("error loading seccomp filter into kernel"):
                    self._filter.load()
        if gate is None:
            os.write(report, READY)
        process.default_signals()
        try:
            os.execve(path, arguments, environment)  # noqa: S606  this is what we are for
        except OSError as error:
            # As runc does from here on: the container has started, and ends with this on its stderr.
            os.write(2, b"exec %b: %b\n" % (path, reason(error.errno).encode()))
        os._exit(1)

    def _change_directory(self, *, may_fail: bool) -> bool:
        try:
            os.chdir(self._cwd)
        except PermissionError as error:
            if may_fail:
                return False
            raise self._no_directory(error) from error
        except OSError as error:
            raise self._no_directory(error) from error
        return True

    def _no_directory(self, error: OSError) -> StartError:
        return from_errno(f'chdir to cwd ("{self._cwd}") set in config.json failed', error.errno)

    def _limit_resources(self) -> None:
        for limit in self._spec.get("rlimits") or ():
            number = getattr(resource, limit["type"], None)
            if number is None:
                raise StartError(f"error setting rlimits for ready process: unknown type {limit['type']}")
            soft, hard = (_limit(limit[name]) for name in ("soft", "hard"))
            try:
                resource.setrlimit(number, (soft, hard))
            except ValueError as error:
                # CPython's word for EPERM and EINVAL here.
                raise from_errno(
                    f"error setting rlimits for ready process: error setting rlimit type {number}",
                    errno.EINVAL if _above(soft, hard) else errno.EPERM,
                ) from error

    def _become(self, identity: users.Identity) -> None:
        sets = self._capabilities
        if sets is not None:
            with Step("error applying bounding set of capabilities"):
                process.drop_bounding(sets["bounding"])
        with Step("error setting user"):
            process.set_keep_capabilities(keep=True)
            os.setgroups(identity.groups)
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
            process.set_keep_capabilities(keep=False)
        if sets is not None:
            with Step("error applying capabilities"):
                process.set_capabilities(sets["effective"], sets["permitted"], sets["inheritable"])
                process.set_ambient(sets["ambient"])


def find_program(name: str, environment: list[str]) -> bytes:
    """The file to execute: ``name`` itself if it has a slash, else the first match on the environment's PATH.

    Raises NoProgram in Go's words (os/exec, LookPath).
    """
    if "/" in name:
        _check_executable(name, f'exec: "{name}"')
        return encode(name)
    path = next((entry[5:] for entry in reversed(environment) if entry.startswith("PATH=")), "")
    for directory in path.split(":") if path else ():
        candidate = f"{directory or '.'}/{name}"
        try:
            _check_executable(candidate, "")
        except NoProgram:
            continue
        return encode(candidate)
    raise NoProgram(f'exec: "{name}": executable file not found in $PATH', code=127)


def _check_executable(path: str, text: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise from_errno(f"{text}: stat {path}", error.errno, NoProgram) from error
    if stat.S_ISDIR(mode):
        raise from_errno(text, errno.EISDIR, NoProgram)
    if not mode & 0o111:
        raise from_errno(text, errno.EACCES, NoProgram)


def _verify_directory() -> None:
    """A directory outside our root has no path: the kernel says "(unreachable)", libc ENOENT."""
    try:
        if os.getcwd().startswith("/"):
            return
    except FileNotFoundError:
        pass
    raise StartError(
        "current working directory is outside of container mount namespace root -- possible container breakout detected"
    )


def _own_stdio(uid: int) -> None:
    for fd in (0, 1, 2):
        status = os.fstat(fd)
        if status.st_uid == uid or (stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)):
            continue
        try:
            os.fchown(fd, uid, status.st_gid)
        except OSError as error:
            # Read-only file systems and user namespaces: the program may still use what it has.
            if error.errno not in (errno.EPERM, errno.EROFS, errno.EINVAL):
                raise from_errno("error changing the owner of stdio", error.errno) from error


def _orphaned(report: int) -> bool:
    """Whether the shim was gone before the death signal was set; its end of the channel is closed then."""
    poller = select.poll()
    poller.register(report, 0)
    return any(event & select.POLLHUP for _, event in poller.poll(0))


def _split() -> None:
    """Fork: the caller goes on in the child; the parent stays behind as process 1 and never returns."""
    everything = signals.block_all()
    child = os.fork()
    if child == 0:
        return
    close_from(0)
    os.setsid()
    process.set_title("wherry-init")
    while True:
        number = signals.wait(everything)
        if number != signals.SIGCHLD:
            os.kill(child, number)
            continue
        while True:
            pid, status = _reap()
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
            if pid <= 0:
                break


def _reap() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return -1, 0


def _environment(entries: list[str]) -> dict[bytes, bytes]:
    pairs = (encode(entry).partition(b"=") for entry in entries)
    return {name: value for name, separator, value in pairs if name and separator}


def _limit(value: int) -> int:
    """RLIM_INFINITY is 2⁶⁴-1 in JSON, -1 in Python; Docker writes -1 too."""
    return -1 if value in (-1, 0xFFFFFFFFFFFFFFFF) else value


def _above(soft: int, hard: int) -> bool:
    return hard != -1 and (soft == -1 or soft > hard)


def _write_changed(path: str, value: str) -> None:
    """Write unless it already is so: lowering needs a privilege that standing still does not."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    current = os.read(fd, 64).decode().strip()
    os.close(fd)
    if current != value:
        _write(path, value)


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
