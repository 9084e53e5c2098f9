"""Tests of the agreement core."""
