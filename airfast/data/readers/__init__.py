"""The readers room of airfast."""
