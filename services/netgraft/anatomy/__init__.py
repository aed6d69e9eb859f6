"""What a model is, found by tracing it: its heads, their roles, its outputs.

Knows nothing of what anybody does with it: surgery grafts by it, tuning trains by it.
"""
