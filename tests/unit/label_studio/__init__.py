"""Label Studio's room, unit by unit."""
