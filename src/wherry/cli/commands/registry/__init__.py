"""``wherry login``, ``logout``, ``search``: registries and who the user is there."""
