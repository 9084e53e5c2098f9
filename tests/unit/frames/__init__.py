"""Tests of exact frames."""
