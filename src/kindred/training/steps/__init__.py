"""The steps of a training run, and what they leave behind for a run that is cut off."""
