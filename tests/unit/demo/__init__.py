"""The demo's parts, each for itself."""
