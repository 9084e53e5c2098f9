"""The product against the model card's own loop."""
