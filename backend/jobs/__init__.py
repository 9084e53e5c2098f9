"""What the workers do: judge a task, publish what came of it, and find what was lost."""
