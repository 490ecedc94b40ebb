"""The way out to servers that others name."""
