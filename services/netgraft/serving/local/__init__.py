"""The local engine: one machine's services in plain processes. Knows no service."""
