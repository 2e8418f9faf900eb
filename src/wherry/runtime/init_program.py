"""The way from a prepared root to the program, shared by a container's init and by exec.

``Program`` looks everything up while that is safe; ``enter`` is the straight line to execve(2). No step of ``enter``
imports, looks up a codec, or opens a file of the container, except the program itself. The parts of a process are in
``init_process_*``, what execve is called with in ``init_exec_find``.
"""

from __future__ import annotations

import os
import select
import stat

from wherry.linux import paths, process, pty, signals
from wherry.linux.seccomp_load import Loader
from wherry.linux.seccomp_rules import load_flags
from wherry.linux.syscalls import close_from
from wherry.runtime import init_process_identity as identities
from wherry.runtime import users
from wherry.runtime.init_errors import Plain, StartError, Step, from_errno, reason
from wherry.runtime.init_exec_find import find_program, read_arguments, read_environment, with_home
from wherry.runtime.init_plan import LISTENER
from wherry.runtime.init_process_labels import Labels
from wherry.runtime.init_process_limits import Limits
from wherry.runtime.init_split import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHANNEL = 3
"""The descriptor of the channel to the parent where nothing is kept, see ``init``."""
READY = b"R"
_UMASK = 0o022
_NO_CAPABILITIES = dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient"), 0)


class Program:
    """What to run, as whom, and how. Raises StartError for what makes no sense."""

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
        config = spec or {}
        self._spec = process_spec
        self._keep = keep
        self._user_namespace = user_namespace
        self._args: list[str] = process_spec["args"]
        self._environment: list[str] = list(process_spec.get("env") or ())
        self._cwd: str = process_spec.get("cwd") or "/"
        self._capabilities: dict[str, int] = request["capabilities"] or _NO_CAPABILITIES
        self._user: str | None = request["user"]
        self._group_add: list[str] = request["group_add"]
        self._tty: bool = request["stdio"]["tty"]
        self._init: bool = request.get("init", False)
        self._lasting: bool = request.get("lasting", False)
        self._keyring: bool = not request.get("no_new_keyring", False)
        self._listen_fds: int = request.get("listen_fds", 0)
        """How many of those kept are sockets of systemd's protocol (sd_listen_fds), the first ones."""
        self._no_new_privileges = bool(process_spec.get("noNewPrivileges"))
        self._identity = users.Identity(0, 0, (0,), "/")
        self._labels = Labels(process_spec)
        is_exec = request.get("exec") is not None
        self._limits = Limits(process_spec, config, is_exec=is_exec, user_namespace=user_namespace)
        flags = load_flags((config.get("linux") or {}).get("seccomp"))
        self._filter = Loader(seccomp, flags=flags) if seccomp else None

    def resolve_user(self, root: int) -> None:
        """Find the ids, from the container's own files below ``root``."""
        if self._user is None:
            self._identity = identities.given(self._spec, _read_passwd(root))
        else:
            try:
                passwd = paths.read_bounded(root, "/etc/passwd", users.MAX_FILE)
                group = paths.read_bounded(root, "/etc/group", users.MAX_FILE)
                self._identity = users.resolve(self._user, self._group_add, passwd, group)
            except OSError as error:
                raise from_errno("unable to find user", error.errno) from error
            except users.UserError as error:
                raise StartError(str(error), engine=True) from error
        self._environment = with_home(self._environment, self._identity.home)

    def make_directory(self, root: int) -> None:
        """Make the working directory if it is missing, as Docker and runc do: for a container, before the pivot."""
        with Step(f'mkdir "{self._cwd}"'):
            fd = paths.make_in(root, self._cwd, directory=True)
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        os.close(fd)
        if not is_directory:
            raise StartError(f"Cannot mkdir: {self._cwd} is not a directory", engine=True)
        # Here rather than in ``protect``: whoever enters a user namespace forks in between.
        self._labels.open()

    def protect(self) -> None:
        """What is written to the host's /proc about ourselves, and what needs its rights: while we have both."""
        self._limits.protect()

    def open_labels(self) -> None:
        """For an exec, inside: what ``make_directory`` does for a container's own program."""
        self._labels.open(fresh=True)

    def open_terminal(self, root: int, height: int, width: int) -> tuple[int, int]:
        """A new terminal of the container's own devpts: (master, replica)."""
        with Step("open terminal /dev/pts/ptmx"):
            master, replica = pty.open_pair(root)
            if height and width:
                pty.resize(master, height, width)
        return master, replica

    def enter(self, terminal: int, gate: Callable[[], None] | None = None, report: int = -1) -> None:
        """Become the program. Returns never; raises StartError up to the moment that the program replaces us.

        ``gate`` is called when all but the program itself is settled, and returns when that is to run. ``report`` is
        the channel's descriptor, 3 + keep if it is not given; the gate's own is the next one.
        """
        report = CHANNEL + self._keep if report < 0 else report
        self._settle(terminal, report + 1 if gate else report)
        self._become(report)
        # 9. What can still fail with a good message.
        environment = read_environment(self._environment)
        path = find_program(self._args[0], self._environment)
        arguments = read_arguments(self._args)
        # 10. A supervisor's descriptor is handed over while somebody takes it; any other filter may forbid what comes.
        listens = self._filter is not None and self._filter.listens
        if self._no_new_privileges and listens:
            self._confine(report)
        if gate:
            os.write(report, READY)
            gate()
        # 11. With --init we stay as process 1; everything above holds for both.
        if self._init:
            split()
        os.setsid()
        if self._tty:
            pty.make_controlling(0)
        umask = (self._spec.get("user") or {}).get("umask")
        os.umask(_UMASK if umask is None else umask)
        if self._listen_fds:
            environment[b"LISTEN_FDS"] = b"%d" % self._listen_fds
            environment[b"LISTEN_PID"] = b"%d" % os.getpid()
        # 12. Last, because the filter may forbid what stands above.
        if self._no_new_privileges and not listens:
            self._confine(report)
        if gate is None:
            os.write(report, READY)
        process.default_signals()
        try:
            os.execve(path, arguments, environment)  # noqa: S606  this is what we are for
        except OSError as error:
            # As runc does from here on: the container has started, and ends with this on its stderr.
            os.write(2, b"exec %b: %b\n" % (path, reason(error.errno).encode()))
        os._exit(1)

    def _settle(self, terminal: int, last: int) -> None:
        """With the rights that we came with."""
        # 1. What the labels promise holds for the keyring too, and nothing is executed any more before the program but
        #    hooks of the container's own.
        self._labels.apply()
        # 2. Nothing of the caller's: its keyring, and every descriptor but the standard ones, those that are to be
        #    kept, and the ways to report.
        if self._keyring:
            process.new_session_keyring()
        for fd in (0, 1, 2) if terminal >= 0 else ():
            os.dup2(terminal, fd)
        self._close(last)

    def _become(self, report: int) -> None:
        """Change into the directory and into the user."""
        identity = self._identity
        # 3. Before the working directory is entered nothing else is open that /proc/self/fd/N could lead to
        #    (CVE-2024-21626); as root first, because the user may not be allowed to, and then again as the user.
        entered = self._change_directory(may_fail=True)
        # 4. The user's own pipes and terminal, so that /dev/stdout can be opened again.
        identities.own_stdio(identity.uid)
        # 5. Late, because our own open files count too.
        self._limits.apply()
        # 6. Without no_new_privs a filter needs CAP_SYS_ADMIN: while we still have it.
        if not self._no_new_privileges:
            self._confine(report)
        # 7. As the user from here on.
        identities.become(identity, self._capabilities, user_namespace=self._user_namespace)
        if not entered:
            self._change_directory(may_fail=False)
        identities.verify_directory()
        # 8. Changing credentials has reset both.
        process.set_dumpable(0)
        process.set_death_signal(0 if self._lasting else signals.SIGKILL)
        if not self._lasting and _orphaned(report):
            os._exit(1)

    def _close(self, last: int) -> None:
        """Every descriptor above ``last``; those that are to be kept survive execve."""
        close_from(last + 1)
        for fd in range(CHANNEL, CHANNEL + self._keep):
            try:
                os.set_inheritable(fd, True)
            except OSError as error:
                text = f"unable to stat preserved-fd {fd - CHANNEL} (of {self._keep})"
                raise from_errno(text, error.errno, Plain) from error

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
        return from_errno(f'chdir to cwd ("{self._cwd}") set in config.json failed', error.errno, Plain)

    def _confine(self, report: int) -> None:
        """Take the filter on, and no_new_privs if it is wanted; hand the supervisor's descriptor over."""
        if self._no_new_privileges:
            with Step("error setting no_new_privs", Plain):
                process.set_no_new_privileges()
        if self._filter is None:
            return
        with Step("unable to init seccomp: error loading seccomp filter into kernel", Plain):
            number = self._filter.load()
        if self._filter.listens:
            # It closes by itself in execve: not before the parent has said that it has its own.
            os.write(report, b"%b%d" % (LISTENER, number))
            if not os.read(report, 1):
                os._exit(1)  # the parent has given up, and says why
            os.close(number)


def _read_passwd(root: int) -> bytes:
    """Empty where it cannot be had: it is asked for a home directory only."""
    try:
        data = paths.read_bounded(root, "/etc/passwd", users.MAX_FILE)
    except OSError:
        return b""
    return data if len(data) <= users.MAX_FILE else b""


def _orphaned(report: int) -> bool:
    """Whether the parent was gone before the death signal was set; its end of the channel is closed then."""
    poller = select.poll()
    poller.register(report, 0)
    return any(event & select.POLLHUP for _, event in poller.poll(0))
