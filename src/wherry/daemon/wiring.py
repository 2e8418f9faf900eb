"""The composition root: the only place that knows which object serves which protocol.

Start-up goes from the bottom up, so that everything found on the machine is adopted or removed before the API opens;
closing goes the other way.
"""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path

import wherry
from wherry.api.routes import build as build_routes
from wherry.api.routes import container as container_routes
from wherry.api.routes import container_changes as container_changes_routes
from wherry.api.routes import event as event_routes
from wherry.api.routes import exec as exec_routes
from wherry.api.routes import extension as extension_routes
from wherry.api.routes import image as image_routes
from wherry.api.routes import image_create as image_create_routes
from wherry.api.routes import image_push as push_routes
from wherry.api.routes import manifest as manifest_routes
from wherry.api.routes import network as network_routes
from wherry.api.routes import ping as ping_routes
from wherry.api.routes import plugin as plugin_routes
from wherry.api.routes import registry as registry_routes
from wherry.api.routes import system as system_routes
from wherry.api.routes import volume as volume_routes
from wherry.api.server.app import Server
from wherry.api.server.routing import Route
from wherry.daemon.config import Config
from wherry.daemon.registries import registry_settings
from wherry.daemon.rootless.outside import RootlessHost
from wherry.daemon.security import load_seccomp, selinux_ready
from wherry.engine.containers.context import Context, Settings
from wherry.engine.containers.execs import Execs
from wherry.engine.containers.network_directory import NetworkDirectory
from wherry.engine.containers.registry import Registry
from wherry.engine.containers.service import Containers
from wherry.engine.containers.users import ImageUsers
from wherry.engine.events import Events
from wherry.engine.images import Images
from wherry.engine.images.fetching import UrlImports
from wherry.engine.images.pulling import Pulling
from wherry.engine.images.pushing import Pushing
from wherry.engine.images.remote_manifests import RemoteManifests
from wherry.engine.networks import Networks
from wherry.engine.registries import RegistryQueries
from wherry.engine.system import Settings as SystemSettings
from wherry.engine.system import System, engine_id
from wherry.engine.system.budget import Budget, Policy
from wherry.engine.system.evicting import ContainerLogs, EvictableImages, image_of
from wherry.engine.system.explain import Explained
from wherry.engine.system.fsck import make_fsck
from wherry.engine.system.uses import Uses
from wherry.engine.volumes import Volumes
from wherry.linux.cgroups.absent import usable_cgroups
from wherry.linux.seccomp_docker import ProfileCache
from wherry.network.controller import NetworkController
from wherry.network.host import Host
from wherry.network.model import NetworkConfig
from wherry.runtime.foreign_registry import Runtimes
from wherry.runtime.host import read_host_facts
from wherry.runtime.id_maps import NO_MAPS, IdMaps
from wherry.runtime.launcher import Launcher
from wherry.runtime.spec_settle import DaemonDefaults
from wherry.state.container import ContainerTable
from wherry.state.database import Database
from wherry.state.reserve import Reserve
from wherry.state.schema import MIGRATIONS
from wherry.transfer.foreign import parse_nondistributable
from wherry.transfer.remote import Registries
from wherry.transfer.remote.mirrors import hub_mirrors
from wherry.transfer.remote.settings import RegistrySettings
from wherry.transfer.store import ImageStore
from wherry.wire.container import LogConfig

API_VERSION = "1.50"
MIN_API_VERSION = "1.24"


class Daemon:
    """A started daemon: the server to open sockets on, and everything behind it."""

    def __init__(self, server: Server, stack: AsyncExitStack) -> None:
        self.server = server
        self._stack = stack

    @classmethod
    async def start(cls, config: Config, maps: IdMaps = NO_MAPS) -> Daemon:
        """Restore the state and make the server; ``maps`` are the ids of the containers' user namespaces.

        Raises WherryError, OSError; nothing stays open then.
        """
        async with AsyncExitStack() as stack:
            server = Server(await _build(config, maps, stack))
            stack.push_async_callback(server.close)
            return cls(server, stack.pop_all())
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Stop serving and let go of everything; running containers go on."""
        await self._stack.aclose()


async def _build(config: Config, maps: IdMaps, stack: AsyncExitStack) -> list[Route]:
    """Every noun's routes, on engines that are ready."""
    database = Database(config.data_root / "state.db", MIGRATIONS, Reserve(config.data_root / "reserve"))
    stack.callback(database.close)
    events = Events(database)
    await events.start()
    stack.push_async_callback(events.close)
    store = ImageStore(config.data_root, database, config.storage_driver)
    store.recover()
    stack.push_async_callback(store.close)
    volumes = Volumes(database, config.data_root / "volumes", events, maps.root)
    await volumes.recover()
    launcher = Launcher(maps=maps)
    await launcher.start()
    stack.push_async_callback(launcher.close)
    controller = NetworkController(
        _network_config(config, maps),
        database,
        launcher,
        events,
        host=_rootless_host(config) if config.rootless else None,
    )
    await controller.start()
    stack.push_async_callback(controller.close)
    cgroups = usable_cgroups(config.name)
    registry = Registry(ContainerTable(database))
    registry.load()
    registries = Registries(registry_settings(config))
    stack.callback(registries.close)
    images = Images(store, ImageUsers(registry), events)
    pushing = Pushing(
        store,
        registries,
        events,
        uploads=max(config.max_concurrent_uploads, 1),
        foreign=parse_nondistributable(config.allow_nondistributable_artifacts),
    )
    stack.callback(pushing.close)
    pulling = Pulling(store, registries, events, downloads=config.max_concurrent_downloads)
    stack.push_async_callback(pulling.close)
    context = Context(
        settings=_settings(config, maps, f"/{config.name}" if cgroups.hierarchies else ""),
        host=read_host_facts(cgroups),
        registry=registry,
        images=images,
        snapshots=store.snapshots,
        volumes=volumes,
        networks=controller,
        events=events,
        launcher=launcher,
        cgroups=cgroups,
        seccomp=ProfileCache(config.data_root / "seccomp"),
    )
    execs = Execs(context)
    stack.push_async_callback(execs.close)
    containers = Containers(context)
    await containers.restore()
    await execs.restore()
    stack.push_async_callback(containers.close)
    uses = Uses(database, partial(image_of, context))
    stack.push_async_callback(uses.close)
    events.observe(uses.observe)
    uses.start()
    policy = Policy(limit=config.disk_budget, keep=config.disk_keep_images)
    budget = Budget(policy, EvictableImages(store, images, context), ContainerLogs(context), uses)
    stack.push_async_callback(budget.close)
    events.observe(budget.observe)
    budget.start()
    system = System(
        _system_settings(config, context, registries.settings),
        facts=context.host,
        containers=containers,
        images=images,
        volumes=volumes,
        events=events,
    )
    return [
        *container_routes.routes(containers),
        *container_changes_routes.routes(containers),
        *exec_routes.routes(execs),
        *manifest_routes.routes(RemoteManifests(registries)),
        *push_routes.routes(pushing),
        *image_routes.routes(images),
        *image_create_routes.routes(images, UrlImports(registries, images), pulling),
        *registry_routes.routes(RegistryQueries(registries)),
        *network_routes.routes(Networks(controller, NetworkDirectory(context), events)),
        *volume_routes.routes(volumes),
        *event_routes.routes(events),
        *system_routes.routes(system),
        *extension_routes.routes(
            make_fsck(store, context, volumes, config.data_root), Explained(config.data_root, store, budget, uses)
        ),
        *ping_routes.routes(system),
        *build_routes.routes(),
        *plugin_routes.routes(),
    ]


def _settings(config: Config, maps: IdMaps, cgroup_parent: str) -> Settings:
    runtimes = Runtimes(config.runtimes, default=config.default_runtime, root=config.exec_root / "runtimes")
    return Settings(
        data_root=config.data_root / "containers",
        exec_root=config.exec_root,
        cgroup_parent=cgroup_parent,
        log_config=LogConfig(type=config.log_driver, config=dict(config.log_opts)),
        hostname=socket.gethostname(),
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_options,
        runtimes=runtimes,
        defaults=_container_defaults(config, maps, runtimes),
        cdi_spec_dirs=config.cdi_spec_dirs,
        selinux=selinux_ready(asked=config.selinux_enabled),
    )


def _container_defaults(config: Config, maps: IdMaps, runtimes: Runtimes) -> DaemonDefaults:
    return DaemonDefaults(
        shm_size=config.default_shm_size,
        ipc_mode=config.default_ipc_mode,
        cgroupns_mode=config.default_cgroupns_mode,
        runtime=runtimes.default,
        runtimes=runtimes.names,
        no_new_privileges=config.no_new_privileges,
        seccomp=load_seccomp(config.seccomp_profile),
        init=config.init,
        ulimits=config.default_ulimits,
        maps=maps,
    )


def _rootless_host(config: Config) -> Host:
    outside = RootlessHost(Path(config.rootless))
    outside.forget()
    return Host(config.name, outside=outside)


def _network_config(config: Config, maps: IdMaps) -> NetworkConfig:
    return NetworkConfig(
        netns_dir=config.exec_root / "netns",
        bridge=f"{config.name}0",
        table=config.name,
        bip=IPv4Interface(config.bip) if config.bip else None,
        mtu=config.mtu,
        user_namespaces=bool(maps),
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_options,
    )


def _system_settings(config: Config, context: Context, registries: RegistrySettings) -> SystemSettings:
    settings, host = context.settings, context.host
    mode = config.default_cgroupns_mode or ("host" if host.cgroup_version == 1 else "private")
    return SystemSettings(
        id=engine_id(config.data_root),
        root=config.data_root,
        version=wherry.__version__,
        api_version=API_VERSION,
        min_api_version=MIN_API_VERSION,
        debug=config.debug,
        labels=config.labels,
        logging_driver=config.log_driver,
        storage_driver=context.snapshots.driver,
        default_runtime=settings.runtimes.default,
        runtimes=settings.runtimes.shown(),
        apparmor=host.apparmor,
        seccomp_profile=config.seccomp_profile or "builtin",
        selinux=settings.selinux,
        user_namespaces=bool(settings.defaults.maps),
        rootless=bool(config.rootless),
        cgroup_driver="cgroupfs" if settings.cgroup_parent else "none",
        private_cgroup_namespace=mode == "private",
        no_new_privileges=config.no_new_privileges,
        cdi_spec_dirs=config.cdi_spec_dirs,
        insecure_registries=[str(network) for network in registries.insecure.networks],
        insecure_hosts=sorted(registries.insecure.hosts),
        registry_mirrors=hub_mirrors(registries.mirrors),
        http_proxy=config.http_proxy,
        https_proxy=config.https_proxy,
        no_proxy=config.no_proxy,
    )
