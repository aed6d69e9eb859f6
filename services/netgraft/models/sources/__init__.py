"""Where models come from: one module or package for each source, found without a list."""
