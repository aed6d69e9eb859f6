"""What edits of a recipe are and do to its module, an edit a file."""
