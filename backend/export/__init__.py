"""Datasets and reports from the ledger: where the model and people agree, and where people corrected it."""
