#!/usr/bin/env python3
"""Trains a teacher on speaker labels."""

import torch

from xvkd import cli
from xvkd.nets.models import TEACHERS
from xvkd.training.classification import SpeakerClassification
from xvkd.training.setup import TrainingSetup, training_parser


def main() -> None:
    setup = TrainingSetup(training_parser(__doc__, "teachers").parse_args())
    network = setup.network(TEACHERS)
    smoothing = setup.config.training.label_smoothing
    task = SpeakerClassification(network, torch.from_numpy(setup.speakers), smoothing)
    setup.start(task)
    setup.train(task)
    setup.finish(network, role="teacher", loss="softmax")


if __name__ == "__main__":
    cli.run(main)
