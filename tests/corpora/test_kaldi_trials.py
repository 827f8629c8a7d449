"""Trials of Kaldi data directories: those that lie there, those of one's own, and those that are made."""

import logging

import pytest
from corpus_files import UTTERANCES, write_features, write_table

from xvkd.corpora.prepare import load_corpus
from xvkd.corpora.sources import kaldi
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir

TRIALS = "anna-0 anna-1 target\nanna-0 bob-1 nontarget\n"


def test_trials_that_lie_there_are_taken_over_in_our_format(train, take):
    (train / "trials").write_text("1 anna-0.wav anna-1.wav\n0 anna-0.wav bob-1.wav\n")
    (train / "trials_models").write_text("A anna-2 1\nA bob-2 0\n")
    (train / "enrol_models").write_text("A anna-0 anna-1\n")
    folder = take(eval_dir=train, train_dir=train) / "eval"
    assert list(DataDir(folder).trial_lists()) == ["eval", "eval_models"]
    assert (folder / "trials").read_text() == TRIALS
    assert (folder / "trials_models").read_text() == "A anna-2 target\nA bob-2 nontarget\n"
    assert (folder / "enrol_models").read_text() == "A anna-0 anna-1\n"


def test_a_list_of_ones_own_takes_the_place_of_theirs(train, take, tmp_path):
    (train / "trials").write_text("whatever this may be\n")
    (tmp_path / "mine").write_text("A bob-1 target\nA anna-1 nontarget\n")
    (tmp_path / "models").write_text("A bob-0 bob-2\n")
    given = {"train_dir": train, "eval_dir": train, "trials": tmp_path / "mine"}
    folder = take(**given, enrol=tmp_path / "models") / "eval"
    assert (folder / "trials").read_text() == (tmp_path / "mine").read_text()
    assert DataDir(folder).trial_lists() == {"eval": (folder / "trials", folder / "enrol")}
    (tmp_path / "mine").write_text(TRIALS)
    assert DataDir(take(**given) / "eval").trial_lists() == {"eval": (folder / "trials", None)}


def test_without_a_list_trials_are_made_from_the_speakers(train, take, caplog):
    folder = take(train_dir=train, dev_dir=train)
    lists = DataDir(folder / "dev").trial_lists()
    assert list(lists) == ["dev"] and (folder / "dev" / "trials").read_text().count(" target\n") == 6
    # Unlabelled: every utterance is its own speaker.
    write_table(train / "utt2spk", {name: name for name in UTTERANCES})
    with caplog.at_level(logging.WARNING):
        take("other", train_dir=train, eval_dir=train)
    assert "eval: no trials: 0 target and 15 non-target trials" in caplog.text
    assert "6 utterances have the ids of some in" in caplog.text


def test_what_is_not_given_any_more_goes(train, recipe, take):
    (train / "trials_x").write_text(TRIALS)
    folder = take(train_dir=train, dev_dir=train, eval_dir=train)
    (folder / "eval" / "mine").write_text("a file of the user's")
    write_features(train, recipe / "mfcc" / "a.ark")
    (train / "wav.scp").unlink()
    (train / "trials_x").unlink()
    take(train_dir=train, eval_dir=train)
    assert not (folder / "dev" / "utt2spk").exists()  # no set any more
    assert {path.name for path in (folder / "eval").iterdir() if path.is_file()} == {
        ".prepared", "utt2spk", "spk2utt", "trials", "trials_multi", "enrol_multi", "mine",
    } - ({"trials_multi", "enrol_multi"} if not (folder / "eval" / "trials_multi").exists() else set())
    assert not list((folder / "eval" / "manifests").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "which data directories"),
        ({"train_dir": "/nowhere"}, "--train-dir /nowhere: no such folder or file"),
        ({"train_dir": "/"}, "--train-dir /: is neither a Kaldi data directory"),
        ({"train_dir": "", "trials": "/dev/null"}, "which data directories"),
    ],
)
def test_impossible_options_are_told(conf, options, message):
    with pytest.raises(UserError, match=message):
        load_corpus(conf / "corpora" / "kaldi.yaml", [f"options.{key}='{value}'" for key, value in options.items()])


def test_trials_need_their_set(conf, train, tmp_path):
    (tmp_path / "t").write_text("")
    for options, message in (
        ({"trials": tmp_path / "t"}, "of which utterances. Give --eval-dir"),
        ({"eval_dir": train, "trials": tmp_path / "no"}, "--trials .*no: no such file"),
        ({"eval_dir": train, "enrol": tmp_path / "t"}, "--enrol .*: the models of which trials. Give --trials"),
    ):
        with pytest.raises(UserError, match=message):
            kaldi_options = {"train_dir": train, "dev_dir": "", "eval_dir": "", "trials": "", "enrol": "", **options}
            load_corpus(
                conf / "corpora" / "kaldi.yaml", [f"options.{key}='{value}'" for key, value in kaldi_options.items()]
            )
    assert kaldi.Options("a", "", "c", "", "", 0).directories() == {"train": "a", "eval": "c"}


def test_a_list_without_labels_will_do_where_nothing_is_trained(train, take, tmp_path):
    (tmp_path / "list").write_text("anna-0 bob-1\nbob-2 bob-1\n")
    folder = take(eval_dir=train, trials=tmp_path / "list") / "eval"
    assert (folder / "trials").read_text() == "anna-0 bob-1\nbob-2 bob-1\n"
    with pytest.raises(UserError, match=r"eval: trials: no labels: error rates need .* \(./run.sh --apply\)"):
        take("other", train_dir=train, eval_dir=train, trials=tmp_path / "list")
    assert not (tmp_path / "other").exists()
