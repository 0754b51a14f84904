"""The page on which clips move."""
