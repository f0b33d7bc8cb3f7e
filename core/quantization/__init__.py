"""Quantisation: weights as small whole numbers, real packed files, real int8."""
