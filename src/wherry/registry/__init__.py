"""``wherry-registry``: a registry server by the OCI distribution specification 1.1."""
