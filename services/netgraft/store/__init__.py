"""What lasts: recipes, tensors, files and the tables. Knows nothing of what a recipe means."""
