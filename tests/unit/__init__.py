"""Tests of single rooms, without services."""
