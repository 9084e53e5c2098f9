"""Pure comparison of a model's labels with people's. Standard library only."""
