"""The command train_student: from a teacher's folder and its embeddings to a student's."""

import kaldiio
import numpy as np
import pytest
import torch
from student_files import UTTERANCES, same, write_embeddings

from xvkd.distillation.teacher import describe_given
from xvkd.errors import UserError
from xvkd.nets.models import load_model


def test_a_student_says_whose_it_is(train, teacher):
    network, record = train("frame+segment6")
    teacher_network, _ = load_model(teacher)
    assert network.output_dim == 13
    expected = {
        "role": "student", "teacher": "teacher_small_s0", "teacher_parameters": teacher_network.num_parameters(),
        "distilled": ["frame", "segment6"], "loss": "mse", "seed": 0, "parameters": network.num_parameters(),
        "teacher_level_parameters": teacher_network.num_parameters("segment6"),
    }  # fmt: skip
    assert {key: record[key] for key in expected} == expected


def test_a_student_gives_vectors_in_the_teachers_space(train, teacher, data):
    """The normalisation of the targets is folded into its last layer."""
    network, _ = train("segment6", epochs=20)
    frames = dict(kaldiio.load_ark(str(data / "feats.ark")))
    batch = torch.from_numpy(np.stack([frames[key] for key in UTTERANCES]))
    ours = network(batch - batch.mean(dim=1, keepdim=True))["embedding"].detach().numpy()
    teachers = np.stack(list(kaldiio.load_scp(str(teacher / "embeddings" / "train" / "segment6.scp")).values()))
    np.testing.assert_allclose(ours.mean(axis=0), teachers.mean(axis=0), atol=3)


def test_a_student_of_projected_levels_has_their_dimension(train):
    network, record = train("frame+segment6", loss="lda_cosine")
    assert network.output_dim == 3 and record["loss"] == "lda_cosine"  # four speakers


def test_other_embeddings_under_the_same_names_are_distilled_anew(train, teacher):
    """After the teacher has been trained again, its old student is worth nothing."""
    old, _ = train("segment6")
    assert same(train("segment6")[0], old)
    write_embeddings(teacher / "embeddings" / "train", seed=1)
    new, _ = train("segment6")
    assert not same(new, old)
    assert same(new, train("segment6", folder="other")[0])


def test_a_student_of_labels_needs_no_embeddings(train, teacher):
    (teacher / "embeddings" / "train" / "segment6.scp").unlink()
    network, record = train("label", loss=None)
    assert network.output_dim == 5  # as the teacher's segment6
    assert (record["distilled"], record["loss"], record["teacher"]) == ([], "softmax", "teacher_small_s0")
    assert "teacher_level_parameters" not in record


def test_of_a_teacher_the_embeddings_may_be_all_that_there_is(train, teacher):
    (teacher / "model.safetensors").unlink()
    describe_given(teacher, {"frame": 8, "segment6": 5}, "/elsewhere")
    network, record = train("frame+segment6")
    assert network.output_dim == 13
    assert record["teacher_parameters"] is None and record["teacher_level_parameters"] is None
    assert train("label", loss=None, folder="other")[0].output_dim == 5


def test_utterances_without_an_embedding_are_left_out(train, teacher):
    write_embeddings(teacher / "embeddings" / "train", utterances=UTTERANCES[:6])
    train("segment6")
    write_embeddings(teacher / "embeddings" / "train", utterances=["x-1", "x-2"])
    with pytest.raises(UserError, match="train: none of the utterances has an embedding of the teacher"):
        train("segment6", folder="other")


def test_what_is_missing_is_told(train):
    with pytest.raises(UserError, match="--loss is missing"):
        train("segment6", loss=None)
    with pytest.raises(UserError, match=r"no level 'segment7' \(there are: frame, segment6\)"):
        train("segment7")
    with pytest.raises(UserError, match="expected different names"):
        train("frame+")


def test_a_student_starts_from_another(train):
    """Its last layer is in the teacher's space, that of the training is not: it still gives the same vectors."""
    first, _ = train("segment6", epochs=4)
    again, record = train("segment6", folder="again", rate=1e-9, init="student")
    np.testing.assert_allclose(
        again.segment_layers["embedding"].weight.detach(), first.segment_layers["embedding"].weight.detach(), atol=1e-4
    )
    assert record["init_model"]["left_random"] == []
    again, record = train("segment6", folder="again", rate=1e-9, init="student/checkpoints/last.pt")
    np.testing.assert_allclose(
        again.segment_layers["embedding"].weight.detach(), first.segment_layers["embedding"].weight.detach(), atol=1e-4
    )


def test_a_student_starts_from_one_of_another_target(train):
    """All but the last layer."""
    first, _ = train("label", loss=None)
    again, record = train("frame", folder="again", rate=1e-9, init="student")
    assert torch.allclose(again.frame_layers[0].affine.weight, first.frame_layers[0].affine.weight, atol=1e-6)
    assert record["init_model"]["left_random"] == ["segment_layers.embedding"]
    with pytest.raises(UserError, match="'frame_layers.0.affine.weight' is 8 x 30 x 5 there and 7 x 30 x 5 in the"):
        train("frame", folder="other", width=7, init="student")
    with pytest.raises(UserError, match="teacher_small_s0: does not fit: 'frame_layers.0.affine.weight'"):
        train("frame", folder="other", init="teacher_small_s0")
