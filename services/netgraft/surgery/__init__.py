"""Surgery: find the heads of a network, graft new ones, say what trains and by which loss.

The operation that makes the edits called `op` is the file `op.py`: it returns `Edited`, with what
it found out on its way. All of them work on meta tensors: they read shapes, never weights, so they
are fast and need no weights on disk. Knows nothing of graphs and jobs.
"""
