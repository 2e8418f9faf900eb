"""wherryd: settings, the composition root, listeners, start-up recovery and signals."""
