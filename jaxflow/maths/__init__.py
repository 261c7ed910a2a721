"""Exact, batched mathematics that knows nothing of learning."""
