"""airfast: discrete labels for skeleton pre-training, exact and sparse."""
