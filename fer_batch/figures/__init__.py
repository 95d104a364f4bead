"""Figures, in both senses: numbers that measure a classifier, and pictures of them."""
