"""From a forward pass to its recorded steps. Knows nothing of Netron and ONNX."""
