"""Tests of the safe download."""
