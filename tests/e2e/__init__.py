"""Tests against a real Label Studio."""
