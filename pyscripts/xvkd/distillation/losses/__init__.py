"""Losses between student and target, one a module; each has ``loss(student, target)``."""
