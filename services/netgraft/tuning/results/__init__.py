"""The results of a run (figures, curves, the tuned model), and measurements of a model."""
