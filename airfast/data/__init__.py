"""The data room of airfast."""
