"""Where models come from: one class for each library, one protocol."""
