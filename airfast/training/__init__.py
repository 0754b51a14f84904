"""The loop of training, and one step of it."""
