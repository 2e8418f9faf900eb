"""Volume drivers. ``local`` is the only one."""
