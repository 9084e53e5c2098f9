"""Tests with a real Redis server and real worker processes."""
