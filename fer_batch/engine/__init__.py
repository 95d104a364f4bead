"""Running one function over many sources: which are due, and where they run. Knows no feature."""
