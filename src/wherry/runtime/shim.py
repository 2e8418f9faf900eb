"""The shim: parent of one container's first process, or of one exec. It outlives the daemon.

    launch.json ──▶ start (``shim_start``, ``init``) ──▶ stdio until the end (``shim_io``) ──▶ exit.json

Import budget: what the zygote imports, and nothing after the fork but zlib when a log is compressed. A shim keeps no
state that the daemon cannot find again: shim.json says who it is, exit.json how it ended.
"""

from __future__ import annotations

import contextlib
import os

from wherry.linux import process, signals, sockets
from wherry.linux.cgroups import CgroupError
from wherry.linux.syscalls import close_from
from wherry.runtime import bundle_files, compact_json, frames, shim_start
from wherry.runtime.init_errors import StartError
from wherry.runtime.shim_io import Peer, Streams
from wherry.runtime.shim_log import JsonLogFile
from wherry.runtime.start import Ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from wherry.linux.cgroups import Cgroups

_CONNECTION = 3
_ANSWER_TIMEOUT = 10.0
_MESSAGE_LIMIT = 4096


def main(bundle: str, connection: int, cgroups: Cgroups | None) -> NoReturn:
    """A forked zygote's whole further life."""
    try:
        _settle(connection)
        _run(bundle, cgroups, None)
    finally:
        os._exit(0)


def wait(channel_fd: int, cgroups: Cgroups | None) -> NoReturn:
    """As ``main``, of a shim that was forked ahead of any request: the zygote sends it one, or hangs up."""
    try:
        _settle(channel_fd)
        process.set_title("wherry-shim waiting")
        ahead = Ahead(cgroups)
        bundle, fds = sockets.recv_fds(sockets.of(_CONNECTION), _MESSAGE_LIMIT, 1)
        if bundle:
            os.dup2(fds[0], _CONNECTION, inheritable=False)
            os.close(fds[0])
            _run(bundle.decode(), cgroups, ahead)
    finally:
        os._exit(0)


def _run(bundle: str, cgroups: Cgroups | None, ahead: Ahead | None) -> None:
    peer = Peer(sockets.of(_CONNECTION))
    try:
        log, child = _start(bundle, cgroups, peer, ahead)
    except StartError as error:
        peer.answer(frames.FAILED, error.encode(), _ANSWER_TIMEOUT)
    except Exception as error:  # noqa: BLE001  nobody else can tell the daemon
        text = f"{type(error).__name__}: {error}"
        peer.answer(frames.FAILED, StartError(text).encode(), _ANSWER_TIMEOUT)
    else:
        try:
            _serve(bundle, cgroups, peer, log, child)
        except Exception as error:  # noqa: BLE001  it ends the container: say why somewhere
            _leave_word(bundle, error)


def _settle(connection: int) -> None:
    """Become a process of our own, with nothing of the zygote's but the connection, which gets its number."""
    os.setsid()
    process.set_subreaper()
    os.chdir("/")
    signals.handle(signals.SIGCHLD, signals.DEFAULT)
    # Only SIGKILL ends a shim: what ends the daemon's service or terminal must not end containers.
    for number in (signals.SIGHUP, signals.SIGINT, signals.SIGTERM, signals.SIGPIPE):
        signals.handle(number, signals.IGNORE)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if connection != _CONNECTION:
        os.dup2(connection, _CONNECTION, inheritable=False)
    close_from(_CONNECTION + 1)


def _start(
    bundle: str, cgroups: Cgroups | None, peer: Peer, ahead: Ahead | None
) -> tuple[JsonLogFile | None, shim_start.Child]:
    peer.send(frames.HELLO, frames.PID.pack(os.getpid()))
    request = bundle_files.read_json(f"{bundle}/launch.json")
    peer.subscribed = request["attach"]
    log: JsonLogFile | None = None

    def prepare() -> None:
        nonlocal log
        process.set_title(f"wherry-shim {request['id']}")
        if request["log"]:
            try:
                log = JsonLogFile(request["log"])
            except OSError as error:
                raise StartError(f"failed to open the log: {error.strerror}: {error.filename}") from error
        if not peer.alive():
            raise StartError("the daemon went away before the container started")

    child = shim_start.start(bundle, request, cgroups, prepare, ahead)
    return log, child


def _serve(bundle: str, cgroups: Cgroups | None, peer: Peer, log: JsonLogFile | None, child: shim_start.Child) -> None:
    started = bundle_files.read_file(f"{bundle}/shim.json")
    peer.send(frames.STARTED, started)
    streams = Streams(child, log, peer)
    # After the program has been started: nobody waits for it.
    streams.listen(
        _listen(bundle), frames.pack(frames.HELLO, frames.PID.pack(os.getpid())) + frames.pack(frames.STARTED, started)
    )
    streams.run(lambda: _end_strays(cgroups, child))
    status = {"code": streams.exit_code, "finished_at": streams.exit_time, "oom_killed": False}
    if child.cgroup and cgroups is not None:
        status["oom_killed"] = cgroups.oom_count(child.cgroup) > 0
    if child.mount_namespace >= 0:
        os.close(child.mount_namespace)
    if child.finish is not None:
        child.finish()
    if child.cgroup and cgroups is not None:
        with contextlib.suppress(CgroupError):
            cgroups.remove(child.cgroup)
    # Nothing of this run is left when the daemon hears of its end: it may start the same container again at once.
    with contextlib.suppress(OSError):
        os.unlink(f"{bundle}/shim.sock")
    with contextlib.suppress(OSError):
        os.rmdir(f"{bundle}/rootfs")
    with contextlib.suppress(OSError):
        bundle_files.write_json(f"{bundle}/exit.json", status)
    for each in streams.peers:
        each.send(frames.EXIT, compact_json.dumps(status))
    streams.finish()
    if log is not None:
        log.close()


def _leave_word(bundle: str, error: Exception) -> None:
    """Where a shim went wrong, in ``shim.err``: it has no stderr, and ``traceback`` would cost every shim its pages."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    fd = os.open(f"{bundle}/shim.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.write(fd, f"{' '.join(places)}: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))


def _end_strays(cgroups: Cgroups | None, child: shim_start.Child) -> None:
    """What a container leaves behind in a pid namespace that is not its own; the kernel ends it with one of its own."""
    if child.cgroup and cgroups is not None and not child.own_pid_namespace:
        with contextlib.suppress(CgroupError):
            cgroups.kill(child.cgroup)


def _listen(bundle: str) -> sockets.Socket:
    """The socket at which a later daemon finds us."""
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{bundle}/shim.sock")
        return sockets.listen(f"{bundle}/shim.sock")
    finally:
        os.umask(mask)
