"""``wherry manifest …``: images of several platforms under one name, put together here and pushed."""
