"""``wherry container …``, one file per verb."""
