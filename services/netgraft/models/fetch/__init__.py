"""Weights over the network: resumed where they broke off, hashed. Knows no model."""
