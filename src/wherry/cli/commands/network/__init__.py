"""``wherry network …``, one file per verb."""
