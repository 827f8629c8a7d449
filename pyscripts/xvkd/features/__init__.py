"""Acoustic features, voice activity and what a network reads of them."""
