"""Losses between student and target, one a module.

Each has ``loss(student, target)``, two tensors (batch, size) to a number, and says in ``COMPARES`` what these are:

- "coordinates": a level's target and the student's prediction of it, in the same space; also frames of a sequence;
- "similarities": the same, but the spaces need have nothing in common: only what is alike within a batch counts;
- "posteriors": logits of speakers, the teacher's and those of the student's own classifier.
"""
