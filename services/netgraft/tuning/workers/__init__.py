"""The processes that train, and on Ray their placement. Knows no data set and no task."""
