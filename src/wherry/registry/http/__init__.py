"""The registry's HTTP server: one thread a connection, blocking sockets, files sent by the kernel."""
