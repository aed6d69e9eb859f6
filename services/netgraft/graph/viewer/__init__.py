"""Netron's pages, our scripts beside them, SVG and PNG: all that knows Netron's quirks."""
