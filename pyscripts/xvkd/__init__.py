"""Distillation of multi-level x-vector knowledge for small-footprint speaker verification."""

__version__ = "0.1.0"
