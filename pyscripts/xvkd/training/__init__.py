"""Chunks of utterances, the training loop and its checkpoints."""
