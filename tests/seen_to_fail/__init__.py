"""The proof that every check can fail."""
