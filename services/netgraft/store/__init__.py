"""The store: recipes, tensors, files and tables. Knows nothing of what a recipe means."""
