"""Which images contribute to a difference, which occur twice, and what they look like."""
