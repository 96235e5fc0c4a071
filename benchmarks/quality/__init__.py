"""How good the recommendations are, on held-back rows of public data."""
