"""The skeletons room of airfast."""
