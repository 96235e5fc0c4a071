"""Ranked reserves: what was ranked for a user a moment ago, kept so that the next answer need not rank again."""
