#!/usr/bin/env python3
"""Scores every trial list of some data directories with one level of one model.

Writes <list>.<scoring>.txt, "enrolment test score" lines, for each list and each scoring of the back end's
configuration; and of all of them (docs/evaluation.md): their figures, also by gender, duration and signal-to-noise
ratio where spk2gender, utt2dur and utt2snr tell these, to metrics.json, how they were calibrated on the development set
to calibration.json, points of their DET curves to det.tsv, and the EER in each draw of the bootstrap over speakers to
draws.npz. How embeddings scatter within and between speakers, those of the cohort and others, goes to scatter.json. The
names of them all go to the file "files".

With --pairing, a list is also scored with models, test utterances and a back end that have files of their
own: test utterances that are shorter, or another model's side, where both give embeddings of one space. Of these there
are figures and draws, by cosine and by the primary scoring.
"""

import logging
from pathlib import Path

import numpy as np

from xvkd import cli, config
from xvkd.backend.backend import NORMALISED, Backend, BackendConfig
from xvkd.backend.score_normalisation import Cohort
from xvkd.errors import UserError
from xvkd.evaluation.bootstrap import SpeakerBootstrap, speakers_of
from xvkd.evaluation.conditions import Conditions, Properties, classes_of
from xvkd.evaluation.pairing import Embeddings, Pairing, read_pairings
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.scatter import Scatter, generalisation, normalisation, session_labels
from xvkd.evaluation.system import SystemReport
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.specifiers import RSpecifier
from xvkd.kaldi.stored import open_vectors
from xvkd.kaldi.trials import Trials, read_enrolments, read_trials, write_scores


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/backend.yaml")
    cli.add_overrides(parser)
    parser.add_argument("--evaluation", required=True, help="conf/evaluation.yaml")
    cli.add_overrides(parser, "evaluation")
    parser.add_argument(
        "--scorings", default="", metavar='"SCORING ..."', help="in place of those that the configuration names"
    )
    parser.add_argument("--backend", required=True, help="folder of mean.vec, transform.mat and plda")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of <set>/<level>.scp")
    parser.add_argument("--level", required=True)
    parser.add_argument(
        "--cohort", help="data directory of the training utterances: the cohort of scorings with AS-norm, and the "
        "speakers that others' scatter is compared with",
    )  # fmt: skip
    parser.add_argument(
        "--pairing", nargs=5, action="append", default=[], metavar=("LIST", "NAME", "ENROL", "TEST", "BACKEND"),
        help="also scores a list with other embeddings, ENROL and TEST being script files, and another back end; can "
        "be given several times",
    )  # fmt: skip
    parser.add_argument("folder", type=Path, help="gets the scores")
    parser.add_argument("data_dirs", nargs="+", help="data directories with trials")
    args = parser.parse_args()
    overrides = [f"scorings=[{', '.join(args.scorings.split())}]"] if args.scorings else []
    options = config.load(BackendConfig, args.config, [*args.set, *overrides])
    evaluation = config.load(EvaluationConfig, args.evaluation, args.evaluation_set)
    backend = Backend.load(args.backend)
    normalises = not NORMALISED.keys().isdisjoint(options.scorings)
    if normalises and not args.cohort:
        raise UserError(f"{args.config}: scorings with AS-norm need --cohort; give it, or leave them out")
    cohort = seen = None
    if args.cohort:
        script = args.embeddings / Path(args.cohort).name / f"{args.level}.scp"
        utterances, vectors = open_vectors(RSpecifier("scp", str(script)))
        speakers, sessions = labels(DataDir(args.cohort), utterances)
        if normalises:
            cohort = Cohort.of(options.cohort, options.cohort_top, vectors, speakers)
        normalised = normalisation(vectors)
        seen = Scatter.collect(vectors, speakers, sessions, *normalised)
    brief = [scoring for scoring in options.scorings if scoring in ("cosine", evaluation.primary_scoring)]
    system, others, files = SystemReport(evaluation), {}, []
    # What the others are calibrated on comes first.
    sets = sorted(map(DataDir, args.data_dirs), key=lambda data_set: data_set.path.name != evaluation.dev_set)
    lists = [name for data_set in sets for name in data_set.trial_lists()]
    unknown = {name for name, *_ in args.pairing}.difference(lists)
    if unknown:
        raise UserError(f"--pairing {min(unknown)}: no such list (there are: {', '.join(lists)})")
    for data_set in sets:
        own = Embeddings.read(args.embeddings / data_set.path.name / f"{args.level}.scp")
        utt2spk, known = data_set.speakers(), Properties.read(data_set)
        for name, (path, enrol) in data_set.trial_lists().items():
            asked = [pairing for listed, *pairing in args.pairing if listed == name]
            pairings = read_pairings(Pairing("", own, own, backend), asked)
            trials = read_trials(path)
            members = read_enrolments(enrol) if enrol else {model: [model] for model in trials.models}
            trials, members = without(data_set.bad_utterances() - own.rows.keys(), trials, members, str(path))
            for model in trials.models:
                if model not in members:
                    raise UserError(f"{path}: model '{model}' is not in {enrol}; add it, or remove its trials")
            try:
                bootstrap = SpeakerBootstrap(
                    speakers_of({model: members[model] for model in trials.models}, utt2spk),
                    speakers_of({utterance: [utterance] for utterance in trials.tests}, utt2spk),
                    trials.model, trials.test, trials.target, evaluation.bootstrap_draws, evaluation.bootstrap_seed,
                )  # fmt: skip
                classes = classes_of(known, members, trials, evaluation)
                conditions = Conditions(classes, trials.target, bootstrap, evaluation)
                for pairing in pairings:
                    scorings = brief if pairing.name else options.scorings
                    for scoring, scores in pairing.score(scorings, options, cohort, members, trials):
                        if pairing.name:
                            system.add_pairing(name, pairing.name, scoring, scores, trials.target, bootstrap)
                        else:
                            write_scores(args.folder / f"{name}.{scoring}.txt", trials, scores)
                            files.append(f"{name}.{scoring}.txt")
                            system.add(data_set.path.name, name, scoring, scores, trials.target, bootstrap, conditions)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
        if seen:
            others[data_set.path.name] = Scatter.collect(own.vectors, *labels(data_set, list(own.rows)), *normalised)
    if seen:
        system.scatter = generalisation(seen, others, evaluation)
    files += system.save(args.folder)
    with atomic_write(args.folder / "files") as file:
        file.writelines(f"{name}\n" for name in files)


def without(
    bad: set[str], trials: Trials, members: dict[str, list[str]], where: str
) -> tuple[Trials, dict[str, list[str]]]:
    """Trials and models without the utterances that stage 3 could not use.

    Args:
        bad: these utterances.
        trials: the list.
        members: the utterances of each model.
        where: the list's file, for messages.

    Raises:
        UserError: no trial is left.
    """
    if not bad:
        return trials, members
    members = {model: [utterance for utterance in utts if utterance not in bad] for model, utts in members.items()}
    # A model that is not in the map is told later.
    models = np.array([bool(members.get(model, True)) for model in trials.models])
    kept = trials.only(models, np.array([utterance not in bad for utterance in trials.tests]))
    if not len(kept):
        raise UserError(f"{where}: all trials are of utterances that cannot be used")
    if len(kept) < len(trials):
        logging.warning("%s: %d of %d trials left out: their utterances cannot be used", where,
                        len(trials) - len(kept), len(trials))
    return kept, members


def labels(data_set: DataDir, utterances: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of the speakers and of the sessions of utterances, (N,) each; None where sessions are not known."""
    try:
        names = speakers_of({utterance: [utterance] for utterance in utterances}, data_set.speakers())
    except UserError as error:
        raise UserError(f"{data_set.path}: {error}") from None
    speakers = np.unique(names, return_inverse=True)[1]
    return speakers, session_labels(utterances, speakers, data_set.table_if_any("utt2session"))


if __name__ == "__main__":
    cli.run(main)
