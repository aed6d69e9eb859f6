"""What a model is, found by tracing it: heads, roles, outputs. Remembered by recipe.

Knows nothing of what anybody does with it: surgery grafts by it, tuning trains by it.
"""
