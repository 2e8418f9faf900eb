"""Layers: applying a tar to a directory, and making one of what a directory changed. Everything here is blocking."""
