"""Reading what strangers wrote: limits, formats, paths, pickles. Runs nothing of it."""
