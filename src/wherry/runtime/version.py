"""Which runtime specification is meant. Imports nothing, because a shim and a container's init do import it."""

VERSION = "1.2.0"
"""Of the OCI runtime specification that our configurations and state documents follow."""
