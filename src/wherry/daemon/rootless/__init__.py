"""``wherryd-rootless``: the daemon for an ordinary user, as root of a user namespace.

    main.py        the command: find or make the namespaces, enter them, become wherryd
    home.py        where its files are
    holder.py      the process that keeps the namespaces while no daemon runs
    uplink.py      slirp4netns: the way from the namespace's network to the host's

    wherryd-rootless ──┬── holder      user, mount and network namespace
                       └── slirp4netns tap0 in that namespace ↔ sockets of the user on the host

A daemon that was killed is started again into the same namespaces, where its containers still run.
"""
