"""The training step on one device. Knows no data set, no task in particular, and no Ray."""
