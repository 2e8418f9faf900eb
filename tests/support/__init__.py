"""What the integration tests stand on: daemons in boxes, images made here, raw clients, and a search for leftovers."""
