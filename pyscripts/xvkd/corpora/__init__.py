"""Corpora: sources of speech, their Lhotse manifests, Kaldi data directories and trials."""
