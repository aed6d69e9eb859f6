"""Models as users bring them: files opened, and matched with structures of the zoo."""
