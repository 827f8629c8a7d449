#!/usr/bin/env python3
"""Trains a teacher on speaker labels.

Its classifier is kept beside it (classifier.safetensors): students may imitate its posteriors.
"""

from xvkd import cli
from xvkd.nets.models import TEACHERS
from xvkd.training.ranks import joined
from xvkd.training.setup import TrainingSetup, training_parser


def main() -> None:
    setup = TrainingSetup(training_parser(__doc__, "teachers").parse_args())
    network = setup.network(TEACHERS)
    task = setup.classification(network)
    setup.start(task)
    setup.train(task)
    setup.save_classifier(task.classifier, network)
    setup.finish(network, role="teacher", loss=setup.config.objective)


if __name__ == "__main__":
    cli.run(joined(main))
