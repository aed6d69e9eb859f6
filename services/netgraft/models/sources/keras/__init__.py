"""Models in `.keras` files, through Keras on its torch backend."""
