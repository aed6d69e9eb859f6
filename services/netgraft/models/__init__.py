"""The shared ground: recipes, the model zoo, safe loading and the store.

Knows nothing of Ray, gRPC and Gradio. Importing `recipe`, `schema`, `store` and
`catalogue` does not import torch, so that the agent and the CLI start fast.
"""
