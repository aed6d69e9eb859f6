"""The losses that training can minimise."""
