"""The methods room of airfast."""
