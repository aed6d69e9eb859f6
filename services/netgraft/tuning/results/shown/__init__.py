"""What pages and commands show of a job's results: what runs have stored, read without torch.

shown/
├── heldout.py    a model's answers to the held-out pictures, and their counts
├── pictures.py   the pictures of a job's data set, as small JPEGs
└── servicer.py   the rpcs
"""
