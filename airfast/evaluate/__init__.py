"""The evaluate room of airfast."""
