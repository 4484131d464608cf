"""What the node's tables should hold, as values and step functions. Pure."""
