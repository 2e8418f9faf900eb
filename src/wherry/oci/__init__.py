"""The OCI standards as frozen types: digests, references, image configs, manifests, indexes, the runtime spec."""
