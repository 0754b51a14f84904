"""AIR (Section III of the paper)."""
