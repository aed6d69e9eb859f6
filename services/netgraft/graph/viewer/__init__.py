"""Netron's pages, our scripts beside them, SVG and PNG: all that depends on Netron's quirks."""
