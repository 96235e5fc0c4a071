"""The parts of the sequential model's training: batches, network, losses, checkpoints and the loop."""
