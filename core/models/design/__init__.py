"""A network written as one line: its layers, cost, limits and PyTorch source."""
