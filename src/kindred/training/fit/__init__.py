"""Fitting by libraries that only the trainer's process loads."""
