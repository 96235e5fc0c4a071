"""Choosing the settings of a model on rows held back from the training data."""
