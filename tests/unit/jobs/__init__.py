"""What the workers do with an order, an outcome, and what was lost."""
