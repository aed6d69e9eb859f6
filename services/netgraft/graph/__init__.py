"""From a model to its picture: record a forward, nest it by module, write it for Netron.

    recording   what one forward did: steps, values, weights         (no torch)
    exporting   a recording by torch.export, on meta tensors
    tracing     a recording by watching a forward, where export fails
    capture     the chain of both
    operators   aten operators under their ONNX names
    nesting     a recording as a graph of modules within modules
    document    the graph as a display-only ONNX document
    hierarchy   the graph as JSON
    drawings    draw once, keep permanently
    difference  two models, module by module
    viewer      Netron's own files, and the page around them
    render      SVG and PNG, by a headless browser
    servicer    protobuf

This package knows nothing of heads, training, sentences or web servers.
"""
