"""From a servicer to an engine: identity, threads, errors, limits. Knows no service."""
