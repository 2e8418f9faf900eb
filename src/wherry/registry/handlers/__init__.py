"""The operations of the distribution specification: a request and its target in, an answer out, errors raised."""
