"""The report room of airfast: a run on one HTML page."""
