"""The answers to ``docker info``, ``docker version`` and ``docker system df``."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections.abc import Collection
from pathlib import Path

import msgspec

import wherry
from wherry.engine.system.host import (
    Host,
    ipv4_forwarding,
    open_descriptors,
    proxy,
    read_host,
    storage_status,
)
from wherry.engine.system.shortcomings import warnings
from wherry.engine.system.sources import (
    ContainerSource,
    EventSource,
    ImageSource,
    Settings,
    VolumeSource,
)
from wherry.lib.clock import now_ns, rfc3339
from wherry.runtime.cdi import read_registry
from wherry.runtime.host import HostFacts
from wherry.wire.system import (
    ComponentVersion,
    DeviceInfo,
    DiskUsage,
    FirewallInfo,
    IndexInfo,
    Platform,
    PluginsInfo,
    RegistryConfig,
    RuntimeInfo,
    SystemInfo,
    Version,
)

KINDS = ("container", "image", "volume", "build-cache")
"""What disk usage can be asked for."""


class System:
    """The daemon's answers about itself. Reads the machine once, when it is made."""

    def __init__(
        self,
        settings: Settings,
        *,
        facts: HostFacts,
        containers: ContainerSource,
        images: ImageSource,
        volumes: VolumeSource,
        events: EventSource,
    ) -> None:
        self._settings = settings
        self._containers = containers
        self._images = images
        self._volumes = volumes
        self._events = events
        self._host: Host = read_host()
        self._facts = facts
        self._measuring = asyncio.Lock()

    def swarm_state(self) -> str:
        """What a ping says of the swarm: there is none yet."""
        return "inactive"

    def builder_version(self) -> str:
        """What a ping says of the builder: there is none yet."""
        return ""

    def info(self) -> SystemInfo:
        """Everything that ``docker info`` shows; waits for nothing."""
        settings, host, facts = self._settings, self._host, self._facts
        counts = self._containers.counts()
        forwarding = ipv4_forwarding()
        complaints = warnings(facts) + ([] if forwarding else ["WARNING: IPv4 forwarding is disabled"])
        devices = read_registry(settings.cdi_spec_dirs)
        complaints += [
            f"CDI: Error associated with spec file {path}: {error}"
            for path, errors in devices.errors.items()
            for error in errors
        ]
        if settings.seccomp_profile not in ("", "builtin"):
            complaints.append("WARNING: daemon is not using the default seccomp profile")
        return SystemInfo(
            id=settings.id,
            containers=counts.running + counts.paused + counts.stopped,
            containers_running=counts.running,
            containers_paused=counts.paused,
            containers_stopped=counts.stopped,
            images=self._images.count(),
            driver=settings.storage_driver,
            driver_status=storage_status(settings.root, settings.storage_driver),
            plugins=PluginsInfo(volume=["local"], network=settings.network_drivers, log=settings.log_drivers),
            memory_limit=facts.memory_limit,
            swap_limit=facts.swap_limit,
            kernel_memory_tcp=facts.kernel_memory_tcp,
            cpu_cfs_period=facts.cpu_cfs,
            cpu_cfs_quota=facts.cpu_cfs,
            cpu_shares=facts.cpu_shares,
            cpu_set=facts.cpuset,
            pids_limit=facts.pids_limit,
            ipv4_forwarding=forwarding,
            debug=settings.debug,
            n_fd=open_descriptors(),
            oom_kill_disable=facts.oom_kill_disable,
            n_goroutines=len(asyncio.all_tasks()),
            system_time=rfc3339(now_ns()),
            logging_driver=settings.logging_driver,
            cgroup_driver=settings.cgroup_driver,
            cgroup_version=str(facts.cgroup_version),
            n_events_listener=self._events.listeners,
            kernel_version=host.kernel,
            operating_system=host.operating_system,
            os_version=host.os_version,
            architecture=host.machine,
            registry_config=self._registry_config(),
            ncpu=host.cpus,
            mem_total=host.memory,
            docker_root_dir=str(settings.root),
            http_proxy=proxy("HTTP_PROXY", settings.http_proxy),
            https_proxy=proxy("HTTPS_PROXY", settings.https_proxy),
            no_proxy=proxy("NO_PROXY", settings.no_proxy),
            name=socket.gethostname(),
            labels=list(settings.labels),
            server_version=settings.version,
            runtimes={
                name: RuntimeInfo(path=path, runtime_args=list(arguments) or None)
                for name, path, arguments in settings.runtimes
            },
            default_runtime=settings.default_runtime,
            live_restore_enabled=settings.live_restore,
            init_binary=settings.init_binary,
            security_options=self._security_options(),
            default_address_pools=list(settings.address_pools) or None,
            firewall_backend=FirewallInfo(driver=settings.firewall),
            cdi_spec_dirs=list(settings.cdi_spec_dirs),
            discovered_devices=[DeviceInfo(source="cdi", id=name) for name in devices.names()] or msgspec.UNSET,
            warnings=complaints or None,
        )

    def version(self) -> Version:
        """Everything that ``docker version`` shows of the server."""
        settings, host = self._settings, self._host
        python = f"n/a ({platform.python_implementation()} {platform.python_version()})"
        built = rfc3339(int(os.stat(Path(wherry.__file__)).st_mtime) * 1_000_000_000)
        details = {
            "ApiVersion": settings.api_version,
            "Arch": host.architecture,
            "BuildTime": built,
            "Experimental": "false",
            "GitCommit": "N/A",
            "GoVersion": python,
            "KernelVersion": host.kernel,
            "MinAPIVersion": settings.min_api_version,
            "Os": "linux",
        }
        return Version(
            platform=Platform(name="wherry"),
            components=[ComponentVersion(name="Engine", version=settings.version, details=details)],
            version=settings.version,
            api_version=settings.api_version,
            min_api_version=settings.min_api_version,
            git_commit="N/A",
            go_version=python,
            os="linux",
            arch=host.architecture,
            kernel_version=host.kernel,
            build_time=built,
        )

    async def disk_usage(self, kinds: Collection[str] = KINDS) -> DiskUsage:
        """What is on disk, of the ``kinds`` asked for. One measurement at a time: it reads every directory."""
        async with self._measuring:
            measured = self._images.usage() if "image" in kinds else None
            containers = await self._containers.disk_usage() if "container" in kinds else None
            volumes = await self._volumes.usage() if "volume" in kinds else None
        return DiskUsage(
            layers_size=measured.layers_size if measured else 0,
            images=measured.images if measured else None,
            containers=containers,
            volumes=volumes,
            build_cache=[] if "build-cache" in kinds else None,
        )

    def _registry_config(self) -> RegistryConfig:
        settings = self._settings
        mirrors = list(settings.registry_mirrors)
        hosts = {host: IndexInfo(name=host, secure=False) for host in settings.insecure_hosts}
        return RegistryConfig(
            insecure_registry_cidrs=list(settings.insecure_registries),
            index_configs=hosts | {"docker.io": IndexInfo(name="docker.io", official=True, mirrors=mirrors)},
            mirrors=mirrors,
        )

    def _security_options(self) -> list[str]:
        settings = self._settings
        options = ["name=apparmor"] if settings.apparmor else []
        if settings.seccomp_profile:
            options.append(f"name=seccomp,profile={settings.seccomp_profile}")
        if settings.selinux:
            options.append("name=selinux")
        if settings.user_namespaces:
            options.append("name=userns")
        if settings.rootless:
            options.append("name=rootless")
        if settings.private_cgroup_namespace:
            options.append("name=cgroupns")
        if settings.no_new_privileges:
            options.append("name=no-new-privileges")
        return options
