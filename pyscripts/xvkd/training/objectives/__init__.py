"""What speakers are told apart with in training, one a module; each has ``Config`` and ``Classifier``.

A ``Classifier`` is an :class:`xvkd.training.objective.Objective` and is dropped when training ends.
"""
