"""Layers that edits put into a network, and the rules about layers. Knows no recipe."""
