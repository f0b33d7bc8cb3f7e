"""Convolutions: what one layer costs, four ways to build it, and the time it takes."""
