"""Recipes, the model zoo, sources of models, and safe loading of files.

Knows nothing of Ray, gRPC and Gradio. Importing `recipe` and `zoo.catalogue` does not
import torch, so that the agent and the CLI start fast.
"""
