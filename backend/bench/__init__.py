"""Benchmarks: what this package promises about speed and size, measured on real processes."""
