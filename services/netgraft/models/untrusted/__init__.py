"""Read files that anybody may have written: limits, formats, paths, pickles. Runs nothing."""
