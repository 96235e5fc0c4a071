"""Offline evaluation: splits, rankings, metrics and confidence intervals; arrays in, numbers out."""
