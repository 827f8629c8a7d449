"""The command train_student with all that a loss can ask for: several teachers, data without labels, the loop, ..."""

import shutil
import sys

import kaldiio
import numpy as np
import pytest
import torch
from student_files import UTTERANCES, same, write_data, write_embeddings

import extract_embeddings
from xvkd.distillation.teacher import describe_given
from xvkd.errors import UserError
from xvkd.nets.models import load_model

TEACHER_OF_NOISE = 5  # a seed


@pytest.fixture
def second(tmp_path):
    """Another teacher, of which there are embeddings only."""
    folder = tmp_path / "teacher_other_s0"
    write_embeddings(folder / "embeddings" / "train", seed=TEACHER_OF_NOISE, sizes={"pooled": 4})
    describe_given(folder, {"pooled": 4}, "/elsewhere")
    return folder


def losses(folder):
    """The loss of each epoch."""
    lines = (folder / "log" / "training.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    return [float(line.split(",")[column]) for line in lines[1:]]


def test_levels_of_two_teachers(train, teacher, second, tmp_path, caplog):
    network, record = train("a:frame+b:pooled", teachers=[f"a={teacher}", f"b={second}"])
    assert network.output_dim == 12
    assert record["distilled"] == ["a:frame", "b:pooled"] and record["teacher"] == "teacher_small_s0"
    assert record["teacher_level_parameters"] == load_model(teacher)[0].num_parameters("frame")
    assert record["further_teachers"] == {
        "b": {"teacher": "teacher_other_s0", "teacher_parameters": None, "teacher_level_parameters": None}
    }
    # The first teacher needs no name to be meant, and may have none of the levels.
    assert same(network, train("frame+b:pooled", teachers=[teacher, f"b={second}"], folder="other")[0])
    alone, record = train("b:pooled", teachers=[teacher, f"b={second}"], folder="alone")
    assert alone.output_dim == 4 and record["teacher_level_parameters"] is None
    # Those that all of them have are used.
    write_embeddings(second / "embeddings" / "train", utterances=UTTERANCES[:8], sizes={"pooled": 4})
    train("frame+b:pooled", teachers=[teacher, f"b={second}"], folder="fewer")
    assert "train: 4 utterances left out: they have no embedding of every teacher" in caplog.text
    write_embeddings(second / "embeddings" / "train", utterances=["x-1"], sizes={"pooled": 4})
    with pytest.raises(UserError, match="train: none of the utterances has an embedding of every teacher"):
        train("frame+b:pooled", teachers=[teacher, f"b={second}"])
    with pytest.raises(UserError, match="no teacher 'c'; give --teacher c=MODEL"):
        train("frame+c:pooled", teachers=[teacher, f"b={second}"])
    with pytest.raises(UserError, match="--embeddings: is for one teacher"):
        train("frame+b:pooled", teachers=[teacher, f"b={second}"], more=["--embeddings", tmp_path])


def test_data_without_labels(train, teacher, data, tmp_path):
    """They are distilled, and LDA is not told who speaks."""
    more = [f"{letter}-{number}" for letter in "vwxyz" for number in range(2)]
    unlabelled = write_data(tmp_path / "more", more, seed=2)
    write_embeddings(teacher / "embeddings" / "more", seed=2, utterances=more)
    alone, record = train("frame+segment6", "lda_cosine", folder="alone")
    assert "unlabelled" not in record
    network, record = train("frame+segment6", "lda_cosine", more=["--unlabelled-dir", unlabelled])
    assert network.output_dim == alone.output_dim == 3  # four speakers, not nine
    assert record["unlabelled"] == {"sets": ["more"], "utterances": 10} and not same(network, alone)
    # What utt2spk says of them has no part in it.
    (unlabelled / "utt2spk").write_text("".join(f"{name} {name}\n" for name in more))
    again, _ = train("frame+segment6", "lda_cosine", folder="again", more=["--unlabelled-dir", unlabelled])
    assert same(again, network)
    folders = [option for name in ("train", "more") for option in ("--embeddings", teacher / "embeddings" / name)]
    given, _ = train("frame+segment6", "lda_cosine", folder="given", more=["--unlabelled-dir", unlabelled, *folders])
    assert same(given, network)
    with pytest.raises(UserError, match="--embeddings: 1 folders for 2 of --data-dir and --unlabelled-dir"):
        train("segment6", more=["--unlabelled-dir", unlabelled, *folders[:2]])
    with pytest.raises(UserError, match="--unlabelled-dir: a student of labels .* has no use for it"):
        train("label", loss=None, more=["--unlabelled-dir", unlabelled])
    with pytest.raises(UserError, match="training.balance: speakers needs the speaker .* not known of .*more; set it"):
        train("segment6", more=["--unlabelled-dir", unlabelled], changes=["training.balance=speakers"])


def test_degraded_copies_regress_the_targets_of_their_originals(train, teacher, data, tmp_path, write_loss):
    copies = {f"{name}-noise": name for name in UTTERANCES}
    noisy = write_data(tmp_path / "noisy", list(copies), seed=3, copies=copies)
    more = ["--data-dir", noisy]
    with pytest.raises(UserError, match=r"noisy: no level 'segment6' \(there are: none; run stage 5\)"):
        train("segment6", more=more)
    clean = write_loss(clean_targets="true")
    network, _ = train("segment6", clean, folder="clean", more=more)
    # As if the copies had been given these embeddings.
    path = teacher / "embeddings" / "train" / "segment6.scp"
    vectors = kaldiio.load_scp(str(path))
    folder = teacher / "embeddings" / "noisy"
    folder.mkdir()
    twins = {copy: vectors[name] for copy, name in copies.items()}
    kaldiio.save_ark(str(folder / "segment6.ark"), twins, scp=str(folder / "segment6.scp"))
    explicit, _ = train("segment6", folder="explicit", more=more)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, explicit.state_dict()[name], rtol=1e-3, atol=1e-4)
    # An original without an embedding leaves its copy out; one that is nowhere is told.
    write_embeddings(teacher / "embeddings" / "train", utterances=UTTERANCES[:6])
    train("segment6", clean, folder="fewer", more=more)
    (noisy / "utt2uniq").write_text("".join(f"{copy} {name}-gone\n" for copy, name in copies.items()))
    with pytest.raises(UserError, match="'a-0-noise' is a copy of 'a-0-gone', which is in none of the sets"):
        train("segment6", clean, folder="gone", more=more)


@pytest.mark.parametrize("objective", ["softmax", "aam"])
def test_posteriors_of_the_teacher(train, trained, write_loss, tmp_path, objective):
    teacher = trained(objective=objective)
    kl = write_loss(terms="{base: null, kl: 1.0}", temperature=2.0)
    options = {"epochs": 6, "rate": 0.02, "changes": [f"objective={objective}"]}
    network, record = train("segment7", kl, teachers=[teacher], **options)
    assert record["objective"]["kind"] == objective and network.output_dim == 5
    values = losses(tmp_path / "student")
    assert values[-1] < 0.8 * values[0]
    assert "agreement" in (tmp_path / "student" / "log" / "training.csv").read_text()
    mixed = write_loss("mixed", terms="{kl: 1.0, relational: 1.0}", label_weight=0.3, head_dim=6)
    network, _ = train("frame+segment7", mixed, teachers=[teacher], folder="mixed")
    assert network.output_dim == 6
    with pytest.raises(UserError, match="kl reads the posteriors of .*teacher_real_s0 from its level .segment7."):
        train("segment6", mixed, teachers=[teacher])
    with pytest.raises(UserError, match="kl alone reads 'segment7' and no other level"):
        train("frame+segment7", kl, teachers=[teacher])
    (teacher / "classifier.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match=r"classifier.safetensors: damaged .*; repeat stage 4 with --force"):
        train("segment7", kl, teachers=[teacher])
    (teacher / "classifier.safetensors").unlink()
    with pytest.raises(UserError, match=r"classifier.safetensors: no such file; .* repeat stage 4 with --force"):
        train("segment7", kl, teachers=[teacher])


def test_posteriors_need_no_labels(train, trained, data, tmp_path, write_loss):
    teacher = trained()
    more = write_data(tmp_path / "more", ["x-0", "y-0", "z-0"], seed=2)
    write_embeddings(teacher / "embeddings" / "more", seed=2, utterances=["x-0", "y-0", "z-0"], sizes={"segment7": 5})
    kl = write_loss(terms="{base: null, kl: 1.0}", label_weight=0.5)
    train("segment7", kl, teachers=[teacher], more=["--unlabelled-dir", more])
    # Nobody that the teacher knows is labelled.
    (data / "utt2spk").write_text("".join(f"{name} q{name[0]}\n" for name in UTTERANCES))
    with pytest.raises(UserError, match="label_weight: 0.5 needs utterances of known speakers, with kl those of the"):
        train("segment7", kl, teachers=[teacher], folder="strangers")
    train("segment7", write_loss(terms="{base: null, kl: 1.0}"), teachers=[teacher], folder="strangers")


@pytest.mark.parametrize("projection", ["pca", "none"])
def test_the_loop_ends_where_dumped_targets_do(train, trained, tmp_path, write_loss, projection):
    """Where chunks are whole utterances."""
    teachers = [f"a={trained()}", f"b={trained('teacher_two_s0', seed=1)}"]
    keys = {"projection": "pca", "projection_dim": 3, "length_normalise": "true"} if projection == "pca" else {}
    levels = "a:frame+b:stats2+a:segment7"
    options = {"teachers": teachers, "chunk": 40, "epochs": 3}
    dumped, _ = train(levels, write_loss("dumped", **keys), folder="dumped", **options)
    looped, record = train(levels, write_loss("looped", source="loop", **keys), folder="looped", **options)
    np.testing.assert_allclose(losses(tmp_path / "looped"), losses(tmp_path / "dumped"), rtol=1e-4)
    assert list(record["further_teachers"]) == ["b"]
    train(levels, write_loss("looped", source="loop", **keys), folder="shorter", **{**options, "chunk": 30})
    assert losses(tmp_path / "shorter")[0] != pytest.approx(losses(tmp_path / "dumped")[0], rel=1e-2)


def test_teachers_that_cannot_be_in_the_loop_are_told(train, trained, teacher, second, tmp_path):
    with pytest.raises(UserError, match=r"teacher_other_s0: has embeddings only.*source: dumped"):
        train("b:pooled", "loop_mse", teachers=[teacher, f"b={second}"])
    real = trained()
    with pytest.raises(UserError, match="real_s0: reads input.cmn_window: 300, the student 200; with source: loop"):
        train("segment6", "loop_mse", teachers=[real], changes=["input.cmn_window=200"])
    # An old loop is not gone on with when the teacher is another, even if its embeddings are the same.
    first, _ = train("segment6", "loop_mse", teachers=[real])
    assert same(first, train("segment6", "loop_mse", teachers=[real])[0])
    shutil.copytree(real / "embeddings", tmp_path / "kept")
    trained(seed=1)
    shutil.copytree(tmp_path / "kept", real / "embeddings", dirs_exist_ok=True)
    assert not same(first, train("segment6", "loop_mse", teachers=[real])[0])


def test_frame_by_frame(train, trained, tmp_path, write_loss):
    teacher = trained()
    loop = write_loss("loop", source="loop")
    options = {"teachers": [teacher], "epochs": 20, "rate": 0.02}
    network, record = train("segment6+frame.sequence", loop, **options)
    assert network.output_dim == 5 and record["distilled"] == ["segment6", "frame.sequence"]
    values = losses(tmp_path / "student")
    assert values[-1] < values[0]
    assert not any("head" in name for name in network.state_dict())
    train("segment6+frame3.sequence", loop, teachers=[teacher], folder="third")
    for levels, loss, message in [
        ("segment6+frame.sequence", "mse", "'frame.sequence' is never dumped; choose a loss with source: loop"),
        ("frame.sequence", loop, "'frame.sequence' alone leaves the embedding untrained"),
        ("segment6+frame9.sequence", loop, r"no 'frame9.sequence': .* frame levels \(there are: frame1, "),
        ("segment6+segment7.sequence", loop, "no 'segment7.sequence': sequences are of frame levels"),
        ("segment6+frame.sequence", write_loss("r", source="loop", terms="{base: null, relational: 1.0}"),
         "'frame.sequence' needs a loss that compares coordinates"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=message):
            train(levels, loss, teachers=[teacher], folder="other")


def test_heads_stay_behind(train, tmp_path, write_loss):
    heads = write_loss("heads", head_dim=4)
    network, _ = train("frame+segment6", heads, epochs=20, rate=0.02)
    assert network.output_dim == 4 and not any("head" in name for name in network.state_dict())
    assert losses(tmp_path / "student")[-1] < 0.9 * losses(tmp_path / "student")[0]
    again, record = train("frame+segment6", heads, folder="again", init="student", rate=1e-9)
    assert record["init_model"]["left_random"] == ["heads"]
    torch.testing.assert_close(
        again.segment_layers["embedding"].weight, network.segment_layers["embedding"].weight, rtol=1e-4, atol=1e-6
    )
    _, record = train("frame+segment6", heads, folder="other", init="student/checkpoints/last.pt")
    assert record["init_model"]["left_random"] == []
    _, record = train("segment6", heads, folder="other", init="student/checkpoints/last.pt")
    assert record["init_model"]["left_random"] == ["heads"]


def test_a_share_of_labels_is_another_training(train, write_loss, tmp_path):
    plain, record = train("segment6")
    assert "objective" not in record
    mixed, record = train("segment6", "label_mix", folder="mixed")
    assert record["objective"] == {"kind": "softmax", "label_smoothing": 0.0} and not same(plain, mixed)
    assert not any("classifier" in name for name in mixed.state_dict())


def test_several_crops_of_one_target(train, tmp_path):
    """An epoch has several chunks of each utterance, in different places."""
    train("segment6")
    once = losses(tmp_path / "student")
    train("segment6", folder="crops", changes=["training.chunks_per_utterance=3"])
    last = (tmp_path / name / "checkpoints" / "last.pt" for name in ("student", "crops"))
    assert [torch.load(path, weights_only=True)["step"] for path in last] == [4, 12]
    assert losses(tmp_path / "crops") != once


def test_relations_alone_leave_the_space_free(train, write_loss):
    """The normalisation of the targets is not folded into an embedding that is no estimate of them."""
    relational = write_loss(terms="{base: null, relational: 1.0}")
    network, _ = train("segment6", relational, epochs=1, rate=1e-9)
    assert network.segment_layers["embedding"].bias.abs().max() < 1  # the teacher's mean is 50


def test_levels_that_are_dumped_when_they_are_named(train, trained, conf, data, tmp_path, monkeypatch):
    """Statistics of a layer come beside all others; a student of them knows what they cost the teacher."""
    teacher = trained()
    folder = teacher / "embeddings" / "train"
    names = ["frame1", "frame2", "frame3", "frame4", "frame", "stats", "segment6", "segment7", "stats2"]
    assert (folder / "levels").read_text().split() == names
    means = kaldiio.load_scp(str(folder / "frame2.scp"))
    statistics = kaldiio.load_scp(str(folder / "stats2.scp"))
    for name in UTTERANCES:
        assert statistics[name].shape == (12,) and (statistics[name][6:] > 0).all()
        np.testing.assert_allclose(statistics[name][:6], means[name], rtol=1e-5, atol=1e-6)
    network, record = train("stats2", teachers=[teacher])
    assert network.output_dim == 12
    assert record["teacher_level_parameters"] == load_model(teacher)[0].num_parameters("frame2")
    words = ["x", "--config", conf / "extraction.yaml", "--model", teacher, "--levels", "all+stats9", data, folder]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    with pytest.raises(UserError, match=r"no level 'stats9' \(there are: frame1, .*, segment7, stats1, "):
        extract_embeddings.main()
