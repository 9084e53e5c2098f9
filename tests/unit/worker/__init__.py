"""Tests of what the worker processes do beside their jobs."""
