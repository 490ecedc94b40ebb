"""Use-cases, one thing at a time; they own the transactions."""
