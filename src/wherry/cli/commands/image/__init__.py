"""``wherry image …``, one file per verb."""
