"""What runs by the clock: which payments, how many, how often."""
