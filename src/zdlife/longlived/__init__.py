"""What does not end by itself, and how it is asked to."""
