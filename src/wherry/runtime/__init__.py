"""Containers as processes: the OCI spec, the zygote that forks, the shim that stays, the init that execs."""
