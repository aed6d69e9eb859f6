"""The index of the zoo and its labels, readable without torch."""
