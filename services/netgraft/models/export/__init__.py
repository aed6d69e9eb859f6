"""Models as files and plain code, for programs without netgraft."""
