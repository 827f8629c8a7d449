"""Targets from the levels of a teacher and the losses that pull a student towards them."""
