"""Noise, rooms and speed: a noise corpus, copies of a set described by Lhotse's cuts, and the same on the fly."""
