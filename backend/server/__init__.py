"""The web process: what Label Studio talks to, and the page that people look at. It never loads the model."""

from backend.server.app import create_app, serve

__all__ = ["create_app", "serve"]
