"""Other packages and our models on the same splits, judged alike."""
