"""Making and fine-tuning checkpoints."""
