"""Engines continue conversations; each module is one way to run the model, imported only when it is chosen."""
