"""``wherry-registry``: serve a registry, or collect its garbage.

    wherry-registry serve [CONFIG] [--addr HOST:PORT] [--root DIRECTORY]
    wherry-registry garbage-collect [CONFIG] [--dry-run] [--delete-untagged] [--quiet] [--root DIRECTORY]

It may be process 1 of a container: signals are taken by waiting for them, which needs no handler, and children that
are left to it are reaped.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence

from wherry import __version__
from wherry.lib.errors import InvalidArgument, WherryError
from wherry.registry.config import Settings, load
from wherry.registry.gc_command import collect_offline
from wherry.registry.log import set_up
from wherry.registry.wiring import Registry, make_driver

_log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)
_CONFIGURATION = "REGISTRY_CONFIGURATION_PATH"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exits 0 after an orderly stop, 1 with one line on stderr when it cannot do its work."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options)
        set_up(settings.log_level, settings.log_format, settings.log_fields)
        return _serve(settings) if options.command == "serve" else _collect(settings, options)
    except (WherryError, OSError) as error:
        sys.stderr.write(f"wherry-registry: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wherry-registry", description="A registry of container images.")
    parser.add_argument("-v", "--version", action="version", version=f"wherry-registry {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="store and distribute images")
    collect = commands.add_parser("garbage-collect", help="delete blobs that no manifest names")
    for command in (serve, collect):
        command.add_argument("config", nargs="?", metavar="CONFIG", help="YAML, with the keys of Docker's registry")
        command.add_argument("--root", metavar="DIRECTORY", help="where the data is, in place of storage.filesystem")
    serve.add_argument("--addr", metavar="HOST:PORT", help="where to listen, in place of http.addr")
    collect.add_argument("-d", "--dry-run", action="store_true", help="say what would be deleted")
    collect.add_argument("-m", "--delete-untagged", action="store_true", help="delete manifests that no tag names")
    collect.add_argument("-q", "--quiet", action="store_true", help="say nothing")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    """Raises InvalidArgument, OSError."""
    path = options.config or os.environ.get(_CONFIGURATION)
    text = ""
    if path:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    overrides = {}
    if options.root is not None:
        overrides["storage.filesystem.rootdirectory"] = options.root
    if options.command == "serve" and options.addr is not None:
        overrides["http.addr"] = options.addr
    return load(text, os.environ, overrides)


def _serve(settings: Settings) -> int:
    # Before the first thread, which inherits it: the signals stay pending until they are waited for.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    _raise_limits()
    registry = Registry(settings)
    for name in settings.ignored:
        _log.warning("configuration: %s is not supported and ignored", name)
    registry.start()
    gc.collect()
    gc.freeze()
    _wait_for_end()
    _log.info("stopping")
    threading.Thread(target=_cut_short, daemon=True).start()
    registry.close()
    return 0


def _wait_for_end() -> None:
    """Returns when the registry is told to stop; reaps what has been left to it until then."""
    while (number := signal.sigwait(_SIGNALS)) == signal.SIGCHLD:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    _log.info("received %s", signal.Signals(number).name)


def _cut_short() -> None:
    """A second signal while the requests under way end: end now."""
    while signal.sigwait(_SIGNALS) == signal.SIGCHLD:
        pass
    os._exit(1)


def _raise_limits() -> None:
    """Every client takes a descriptor, and one more for what it fetches."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _collect(settings: Settings, options: argparse.Namespace) -> int:
    if settings.readonly and not options.dry_run:
        raise InvalidArgument("the registry is read-only (storage.maintenance.readonly)")
    driver = make_driver(settings)
    with contextlib.closing(driver):
        collect_offline(driver, dry_run=options.dry_run, delete_untagged=options.delete_untagged, quiet=options.quiet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
