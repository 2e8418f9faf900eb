"""Volumes: data that outlives the container that uses it.

A volume has a name, a driver, options and labels. Its life: created (by hand or because a container names it), acquired
by every container that refers to it and released when that container is removed, mounted while one of them runs,
removed when nobody refers to it. What the user sees of all that is in ``engine/volumes.py``; here is how the local
driver keeps the data:

    <data-root>/volumes/            0701
        <name>/                     0701
            _data/                  0755, what containers see; for a volume with options the mount point
            _populating/            the image's files on their way in (see ``populate.py``)
            _populated/             the same, complete, being moved into _data
        .removed-<random>-<name>    a removed volume that is not yet deleted
"""
