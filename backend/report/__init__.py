"""How far the model and people agree: one page, one JSON file and one CSV file from the ledger."""
