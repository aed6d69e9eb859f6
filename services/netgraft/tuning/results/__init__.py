"""What a run leaves: figures, curves, the tuned model; and what is measured of a model."""
