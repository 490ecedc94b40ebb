"""Reports: those of the providers, read; ours, written."""
