"""Surgery: find the heads of a network, graft new ones, say what trains and by which loss.

Everything here works on meta tensors: it reads shapes, never weights, so it is
fast and needs no weights on disk. Knows nothing of graphs, jobs and sentences.
"""
