"""The Ray engine: runs as actors, the fork server of each node. Knows no service."""
