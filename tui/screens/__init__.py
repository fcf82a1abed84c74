"""Screens: each turns the feed's picture into rows and lines, and keys into questions to the feed."""
