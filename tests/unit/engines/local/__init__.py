"""The engine in this process, room by room."""
