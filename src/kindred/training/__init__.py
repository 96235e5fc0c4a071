"""Training: dataset, fit, replay and gate, publish; the trainer's process alone loads it."""
