"""What leaves the training room."""
