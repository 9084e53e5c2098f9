"""Tests of the reasoning core: no files, no network, no model."""
