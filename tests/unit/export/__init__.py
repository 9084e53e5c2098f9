"""Datasets from the ledger."""
