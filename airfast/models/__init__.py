"""The models room of airfast."""
