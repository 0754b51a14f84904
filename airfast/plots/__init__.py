"""The plots room of airfast."""
