"""What a student is told of its teacher."""

import pytest

from xvkd.distillation.levels import level_names
from xvkd.distillation.teacher import Teacher, describe_given, read_teachers
from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, BuildRecord, build_network, finish_model


def test_a_trained_teacher_tells_its_sizes(tmp_path):
    arch = {"frame_widths": [6, 6, 6, 6, 8], "segment_widths": [5, 4]}
    record = BuildRecord(TEACHERS, "tdnn", arch, 30, 0)
    network = build_network(record, "teacher")
    finish_model(tmp_path, network, record, {"role": "teacher"})
    teacher = Teacher.read(tmp_path)
    assert teacher.parameters == network.num_parameters() and teacher.levels == network.levels
    assert teacher.label_size() == 5  # its first segment layer
    assert teacher.parameters_for(["frame1", "frame2"]) == network.num_parameters("frame2")
    assert teacher.parameters_for(["frame1", "unheard-of"]) is None


def test_one_from_elsewhere_tells_what_is_known(tmp_path):
    describe_given(tmp_path, {"ecapa": 192, "pooled": 3072}, "/elsewhere")
    teacher = Teacher.read(tmp_path)
    assert teacher.parameters is None and teacher.parameters_for(["ecapa"]) is None
    assert teacher.label_size() == 192  # nothing is called segment...: the smallest


def test_what_is_no_teacher_is_told(tmp_path):
    with pytest.raises(UserError, match=r"no finished model \(config.yaml is missing\)"):
        Teacher.read(tmp_path)
    for text in ("role: student\n", "levels: 3\nparameters: 1\n", "parameters: 1\nlevels: {a: {size: x}}\n"):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="config.yaml is not what a teacher leaves there .*repeat stage 4"):
            Teacher.read(tmp_path)


def test_levels_are_the_scripts_of_whole_sets(tmp_path):
    for name in ("frame", "ecapa-512", "frame.1", "a+b", "a b", "x:y"):
        (tmp_path / f"{name}.scp").touch()
    (tmp_path / "frame.ark").touch()
    assert level_names(tmp_path) == ["ecapa-512", "frame"]


def test_several_teachers_have_names(tmp_path):
    for name in ("one", "two", "a=b"):
        describe_given(tmp_path / name, {"frame": 8}, "/elsewhere")
    one, two = read_teachers([f"x={tmp_path}/one", f"y={tmp_path}/two"])
    assert (one.name, one.folder, two.name, two.folder) == ("x", tmp_path / "one", "y", tmp_path / "two")
    (alone,) = read_teachers([f"{tmp_path}/a=b"])
    assert (alone.name, alone.folder) == ("", tmp_path / "a=b")
    for given in ([f"{tmp_path}/one", f"{tmp_path}/two"], [f"x={tmp_path}/one", f"x={tmp_path}/two"]):
        with pytest.raises(UserError, match="two: each of several teachers needs a name of its own: NAME=MODEL"):
            read_teachers(given)
    with pytest.raises(UserError, match="three: no finished model"):
        read_teachers([f"x={tmp_path}/three"])


def test_further_levels_need_the_layers_that_they_are_of(tmp_path):
    record = BuildRecord(TEACHERS, "tdnn", {"frame_widths": [6, 6, 6, 6, 8], "segment_widths": [5]}, 30, 0)
    network = build_network(record, "teacher")
    finish_model(tmp_path, network, record, {"role": "teacher"})
    teacher = Teacher.read(tmp_path)
    assert teacher.parameters_for(["stats2", "frame1"]) == network.num_parameters("frame2")
    assert teacher.parameters_for(["frame3.sequence"]) == network.num_parameters("frame3")
    assert teacher.parameters_for([]) is None
