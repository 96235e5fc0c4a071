"""The learned ranker: examples as they stood in time, and what is learned from them."""
