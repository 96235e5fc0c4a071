"""Learning between trainings: rows of the models that new interactions change, checked and published as a delta."""
