"""Vision models of Hugging Face transformers."""
