"""A Label Studio ML backend that judges pairs of videos with VR-Thinker."""
