"""``wherry system …``, ``version`` and ``info``."""
