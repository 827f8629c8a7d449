"""Kaldi data directories, archives and binary formats."""
