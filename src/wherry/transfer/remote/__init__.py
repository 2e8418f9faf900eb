"""Registries as a client sees them: where they are, how to be let in, and the requests of the distribution specification."""
