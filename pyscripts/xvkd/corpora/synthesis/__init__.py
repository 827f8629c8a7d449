"""Synthetic speech of many speakers: texts, voices, the eSpeak NG synthesiser and the channel."""
