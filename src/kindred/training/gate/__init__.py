"""The gate: what a trained bundle must show before it may serve."""
