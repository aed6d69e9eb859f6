"""The training step on one device. Knows no Ray."""
