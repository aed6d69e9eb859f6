"""torchvision's models, and the plain code that makes them."""
