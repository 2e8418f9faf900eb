"""The OCI runtime command, ``wherry-oci``."""
