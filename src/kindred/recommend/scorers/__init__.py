"""Columns of scores, and the score that orders."""
