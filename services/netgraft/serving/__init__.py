"""Serve a servicer over gRPC: identity, threads, errors, limits. Knows no particular service."""
