"""``wherryd``: read the settings, take the roots, restore what was, serve until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from wherry import __version__
from wherry.daemon import logfmt
from wherry.daemon.config import Config, load
from wherry.daemon.listeners import forget, listen
from wherry.daemon.pidfile import RootLock, write_pidfile
from wherry.daemon.rootless.holder import end_holder
from wherry.daemon.userns_remap import load_maps, own_root
from wherry.daemon.wiring import Daemon
from wherry.lib.errors import Forbidden, WherryError
from wherry.runtime.id_maps import IdMaps

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exits 0 after an orderly stop, 1 with one line on stderr when it cannot start."""
    try:
        config = load(sys.argv[1:] if arguments is None else arguments)
        return _run(config)
    except (WherryError, OSError) as error:
        sys.stderr.write(f"wherryd: {error}\n")
        return 1


def _run(config: Config) -> int:
    if os.geteuid() != 0:
        raise Forbidden("wherryd needs root: start it as root, or wherryd-rootless as an ordinary user")
    logfmt.set_up(config.log_level, debug=config.debug)
    # Sockets, state and logs are made with the modes that the code says, whatever mask the caller left.
    os.umask(0o022)
    maps = load_maps(config.userns_remap)
    config.data_root.mkdir(mode=0o710, parents=True, exist_ok=True)
    config.data_root.chmod(0o710)
    config = replace(config, data_root=own_root(config.data_root, maps))
    config.exec_root.mkdir(mode=0o711, parents=True, exist_ok=True)
    with contextlib.closing(RootLock(config.data_root)), contextlib.closing(RootLock(config.exec_root)):
        write_pidfile(config.pidfile)
        try:
            uvloop.run(_serve(config, maps))
        finally:
            config.pidfile.unlink(missing_ok=True)
            if config.rootless and not any(config.exec_root.glob("containers/*/shim.sock")):
                end_holder(Path(config.rootless))
    return 0


async def _serve(config: Config, maps: IdMaps) -> None:
    """From the first restore to the last close. Containers go on when the daemon stops: live restore is always on."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    daemon = await Daemon.start(config, maps)
    try:
        for host in config.hosts:
            await daemon.server.serve(listen(host, group=config.group))
            _log.info("API listen on %s", host.removeprefix("unix://"))
        # What start-up made stays; a collection need not look at it again.
        gc.collect()
        gc.freeze()
        _log.info("wherryd %s has completed initialization", __version__)
        await stopping.wait()
        _log.info("stopping; running containers go on")
    finally:
        await daemon.close()
        for host in config.hosts:
            forget(host)


if __name__ == "__main__":
    sys.exit(main())
