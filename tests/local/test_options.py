"""Options of run.sh and of the stages: help, mistakes, presets, folders, dry runs."""

import re

import pytest
from shell import ROOT, files, run

STAGES = sorted((ROOT / "local").glob("stage_*.sh"))


@pytest.fixture
def recipe(tmp_path):
    """Runs ./run.sh with the test's own data and exp."""

    def start(*options, cwd=ROOT, roots=True):
        where = ["--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"] if roots else []
        return run([ROOT / "run.sh", *options, *where], cwd=cwd)

    return start


def settings(path):
    """The assignments "name=value   # text" of a shell file."""
    return re.findall(r'^([a-z0-9_]+)=("[^"]*"|\S*) +# (.*)$', path.read_text(), re.MULTILINE)


def choices(kind):
    return " ".join(sorted(path.stem for path in (ROOT / "conf" / kind).iterdir()))


@pytest.mark.parametrize("preset", choices("presets").split())
def test_help_names_every_option_with_its_default(recipe, preset):
    done = recipe("--help", "--preset", preset)
    assert done.returncode == 0 and done.stderr == ""
    options = settings(ROOT / "local" / "options.sh") + settings(ROOT / "conf" / "presets" / f"{preset}.sh")
    assert len(options) >= 20
    for name, value, text in options:
        assert f"\n  --{name.replace('_', '-'):<16} {text} ({value})\n" in done.stdout


def test_help_has_the_table_of_stages(recipe):
    table = recipe("--help").stdout.split("options, with")[0]
    assert sorted(int(number) for number in re.findall(r"(?:^| ) ?(\d+)  ", table, re.MULTILINE)) == list(range(12))
    assert [int(path.name[6:8]) for path in STAGES] == list(range(12))


@pytest.mark.parametrize("script", ["run.sh", *(f"local/{path.name}" for path in STAGES)])
def test_help_from_another_folder(script):
    done = run([f"{ROOT.name}/{script}", "--help"], cwd=ROOT.parent)
    assert done.returncode == 0 and done.stderr == ""
    assert f"usage: ./{script}" in done.stdout or f"usage: {script}" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stages", "3"], "--stages: unknown option (see --help)"),
        (["--vad-backend", "k2"], "--vad-backend: has no use without --vad hmm; leave it out"),
        (["--level", "stats"], "--level: has no use without --apply; leave it out"),
        (["--apply-to", "x"], "--apply-to: has no use without --apply"),
        (["--teacher-embeddings", "x", "--teacher", "tdnn"], "--teacher: has no use where the teacher is given"),
        (["--teacher-nnet3", "x", "--teacher-set", "a=1"], "--teacher-set: has no use where the teacher is given"),
        (["--Stage", "3"], "--Stage: unknown option"),
        (["--dry_run-", "3"], "--dry_run-: unknown option"),
        (["--path=/bin"], "--path: unknown option"),
        (["--arguments", "x"], "--arguments: unknown option"),
        (["3"], "'3': expected an option such as --stage 3"),
        (["-h"], "'-h': expected an option such as --stage 3"),
        (["--dry-run=maybe"], "--dry-run maybe: expected true or false"),
        (["--stage", "two"], "--stage 'two': expected a whole number of at least 0"),
        (["--stop-stage=-1"], "--stop-stage '-1': expected a whole number"),
        (["--nj", "1.5"], "--nj '1.5': expected a whole number"),
        (["--seed", ""], "--seed '': expected a whole number"),
        (["--seed", "99999999999999999999"], "--seed '99999999999999999999': expected a whole number"),
        (["--stage", "12"], "--stage 12: comes after --stop-stage 11, so that nothing would run"),
        (["--stage", "5", "--stop-stage", "4"], "--stage 5: comes after --stop-stage 4"),
        (["--skip-stages", "2,11"], "--skip-stages '2,11': expected stages with spaces between"),
        (["--preset", "huge"], f"--preset 'huge': no such preset (there are: {choices('presets')})"),
        (["--preset", "../tiny"], "--preset '../tiny': no such preset"),
        (["--corpus", "nowhere"], f"conf/corpora/nowhere.yaml (there are: {choices('corpora')})"),
        (["--teacher", "nobody"], f"conf/teachers/nobody.yaml (there are: {choices('teachers')})"),
        (["--student", "../teachers/tdnn"], f"(there are: {choices('students')})"),
        (["--teacher-nnet3", "nowhere.raw"], "--teacher-nnet3 'nowhere.raw': no such file"),
        (["--teacher-nnet3", "x", "--teacher-onnx", "y"], "one teacher a run; leave the others out"),
        (["--teacher-onnx", "nowhere.onnx"], "--teacher-onnx 'nowhere.onnx': no such file"),
        (["--teacher-onnx", str(ROOT / "run.sh")], "--teacher-onnx: which levels? Give --levels LEVEL=NODE,..."),
        (["--teacher-onnx", str(ROOT / "run.sh"), "--levels", "a=b"], "what does it read? Give --teacher-input NAME"),
        (["--teacher-onnx", str(ROOT / "run.sh"), "--levels", "a=b", "--teacher-input", "x"],
         f"conf/inputs/x.yaml (there are: {choices('inputs')})"),
        (["--levels", "a=b"], "--levels: has no use without --teacher-onnx; leave it out"),
        (["--teacher-input", "x"], "--teacher-input: has no use without --teacher-onnx or --teacher-nnet3"),
        (["--losses", "mse mae"], f"conf/losses/mae.yaml (there are: {choices('losses')})"),
        (["--students", "frame frame:mae"], f"conf/losses/mae.yaml (there are: {choices('losses')})"),
        (["--students", "frame:"], f"conf/losses/.yaml (there are: {choices('losses')})"),
        (["--students", "frame label:mse"], "a student of labels alone has no distillation loss"),
        (["--data-root", "a,b"], "--data-root 'a,b': neither 'JOB' nor a comma may stand in the name"),
        (["--exp-root", "/x/JOB/y"], "--exp-root '/x/JOB/y': neither 'JOB' nor a comma"),
    ],
)
def test_mistake_has_a_clear_message(recipe, tmp_path, options, message):
    roots = not any(option.endswith("-root") for option in options)
    done = recipe(*options, roots=roots)
    assert done.returncode == 1
    assert done.stderr.startswith("run.sh: error: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert files(tmp_path) == {}


@pytest.mark.parametrize("options", [["--stage"], ["--students", "--force"], ["--seed", "--stage", "3"]])
def test_missing_value(recipe, options):
    done = recipe("--dry-run", *options, roots=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"run.sh: error: {options[0]}: its value is missing (see --help)\n"


def test_unknown_level_or_key_is_found_before_any_work(recipe, tmp_path):
    """Not when the teacher has been trained."""
    for options, message in (
        (["--students", "label frame9"], "no level 'frame9' (there are: frame1, "),
        (["--corpus", "folder", "--audio", "no-such-folder"], "no-such-folder: no such folder"),
    ):
        done = recipe("--preset", "tiny", *options)
        assert done.returncode == 1 and message in done.stderr
        assert "stage 0 (environment) failed" in done.stderr and "stage 1" not in done.stderr
    assert not any(files(tmp_path / "data"))


def test_students_are_checked_where_they_are_distilled(recipe):
    """ECAPA-TDNN has no level segment7, which is among those that are distilled by default."""
    options = ["--teacher", "ecapa_half", "--students", "segment7"]
    assert recipe(*options, "--stop-stage", "0").returncode == 0
    assert "has no level 'segment7'" in recipe(*options, "--stop-stage", "6", "--skip-stages", "1 2 3 4 5").stderr


def test_values_that_a_preset_replaces_in_another_file_are_told(recipe):
    told = "--student tdnn16 has what the preset telephone replaces, input=mfcc_8k_cmn_voiced; without that, give"
    options = ["--preset", "telephone", "--stop-stage", "0"]
    assert told in recipe(*options, "--student", "tdnn16").stderr
    for given in ([], ["--student", "tdnn16", "--student-set", ""]):
        assert "what the preset telephone replaces" not in recipe(*options, *given).stderr


def test_value_after_equals_sign_and_flags(recipe):
    apart = recipe("--preset", "tiny", "--stage", "4", "--stop-stage", "4", "--seed", "3", "--dry-run", "true")
    joined = recipe("--dry-run", "--preset=tiny", "--stage=4", "--stop-stage=4", "--seed=3", "--force=false")
    assert joined.returncode == 0 and "--seed 3 " in joined.stdout
    assert joined.stdout == apart.stdout


def test_command_line_overrides_preset_in_any_order(recipe):
    for options in (["--teacher", "tdnn_half", "--preset", "tiny"], ["--preset", "tiny", "--teacher", "tdnn_half"]):
        done = recipe("--dry-run", "--stage", "4", "--stop-stage", "4", *options)
        assert "--config conf/teachers/tdnn_half.yaml" in done.stdout
        assert "/tiny/teacher_tdnn_half_s0" in done.stdout  # the corpus is still the preset's


def test_values_of_back_end_and_evaluation_reach_what_stands_on_them_alone(recipe):
    plain = recipe("--dry-run", "--preset", "tiny", "--stage", "4").stdout.splitlines()
    changes = ["--backend-set", "lda_dim=20 num_em_iters=3 scorings=[cosine,plda]", "--evaluation-set", "c_miss=2"]
    changed = recipe("--dry-run", "--preset", "tiny", "--stage", "4", *changes).stdout.splitlines()
    of_backend = "--set lda_dim=20 --set num_em_iters=3 --set scorings=\\[cosine\\,plda\\] "
    expected = {
        "train_backend.py": ["--lda-dim=20 --num-em-iters=3 "],
        "score_sets.py": [of_backend, "--evaluation-set c_miss=2 "],
        "make_results.py": ["--evaluation-set c_miss=2 "],
        "write_card.py": [of_backend, "--evaluation-set c_miss=2 "],
    }
    assert len(plain) == len(changed)
    seen = set()
    for before, after in zip(plain, changed, strict=True):
        for script in (script for script in expected if script in after):
            seen.add(script)
            for words in expected[script]:
                assert words in after
                after = after.replace(words, "")
        if "evaluation-set" not in after:  # of steps that are no jobs
            assert after == before
    assert seen == expected.keys()


def test_a_primary_scoring_that_is_not_made_is_told(recipe):
    done = recipe("--preset", "tiny", "--stop-stage", "0", "--evaluation-set", "primary_scoring=cosine_asnorm")
    assert done.returncode == 1
    assert "primary_scoring: cosine_asnorm (conf/evaluation.yaml, --evaluation-set) is not among" in done.stderr


def test_another_objective_has_folders_of_its_own(recipe):
    """Other than that of the network's YAML: aam of teachers, softmax of students."""
    options = ["--teacher-set", "objective=softmax", "--student-set", "objective=aam", "--students", "label frame"]
    done = recipe("--dry-run", "--preset", "tiny", "--stage", "4", "--stop-stage", "6", *options)
    assert "/teacher_tdnn_tiny_softmax_s0" in done.stdout and "/teacher_tdnn_tiny_s0" not in done.stdout
    assert "/student_tdnn16_tdnn_tiny_softmax_label_aam_s0" in done.stdout
    assert "/student_tdnn16_tdnn_tiny_softmax_frame_mse_s0" in done.stdout


def test_leading_zeros_are_decimal(recipe):
    done = recipe("--dry-run", "--preset", "tiny", "--stage", "03", "--stop-stage", "04", "--nj", "08", "--seed", "09")
    assert done.returncode == 0 and "JOB=1:8" in done.stdout and "--seed 9 " in done.stdout


def test_stages_that_are_run(recipe):
    done = recipe("--dry-run", "--preset", "tiny", "--stage", "2", "--stop-stage", "11", "--skip-stages", "3 5 11")
    assert re.findall(r"stage (\d+):", done.stderr) == ["2", "4", "6", "7", "8", "9", "10"]


def test_dry_run_of_everything_leaves_no_file_and_prints_commands(recipe, tmp_path):
    done = recipe("--dry-run", "--preset", "tiny")
    assert done.returncode == 0 and list(tmp_path.iterdir()) == []
    for command in (
        "generate_audio", "prepare_corpus", "compute_feats", "compute_vad", "train_teacher", "extract_embeddings",
        "train_student", "train_backend", "score_sets", "make_results",
    ):
        assert f"python3 pyscripts/{command}.py" in done.stdout.replace("'", "")


def test_stage_alone_does_the_same(recipe, tmp_path):
    options = ["--preset", "tiny", "--seed", "5", "--dry-run", "--exp-root", tmp_path]
    whole = run([ROOT / "run.sh", *options, "--stage", "6", "--stop-stage", "6"])
    alone = run([ROOT / "local" / "stage_06_distil_students.sh", *options])
    assert alone.returncode == 0 and alone.stdout == whole.stdout != ""


def test_stage_without_its_input_says_so(tmp_path):
    for stage in ("03_features", "04_train_teacher", "05_dump_levels"):
        roots = ["--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        done = run([ROOT / "local" / f"stage_{stage}.sh", "--preset", "tiny", *roots])
        assert done.returncode == 1 and "run stage 1 first" in done.stderr
    assert files(tmp_path) == {}


def dry_teacher(*options, cwd):
    done = run([ROOT / "run.sh", "--preset", "tiny", "--stage=4", "--stop-stage=4", "--dry-run", *options], cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_folders_are_meant_from_where_the_user_stands(tmp_path):
    (tmp_path / "here").mkdir()
    commands = dry_teacher("--data-root", "my data", "--exp-root=../exp", cwd=tmp_path / "here")
    assert rf"--data-dir {tmp_path}/here/my\ data/tiny/train " in commands
    assert f"{tmp_path}/exp/tiny/teacher_tdnn_tiny_s0 " in commands


def test_folders_have_one_name_however_they_are_written(tmp_path):
    """Or training would be repeated, over its own results, because the user stood somewhere else."""
    default = dry_teacher(cwd=ROOT)
    assert "--data-dir data/tiny/train " in default
    assert dry_teacher(cwd=tmp_path) == default
    assert dry_teacher("--data-root", "./data/", "--exp-root", f"{ROOT}/exp", cwd=ROOT) == default
    assert dry_teacher("--data-root", "../data", cwd=ROOT / "conf") == default


def test_cdpath_leads_nowhere(tmp_path):
    (tmp_path / "local").mkdir()
    command = ["bash", "local/stage_02_augmentation.sh", "--preset", "tiny"]
    assert run(command, CDPATH=str(tmp_path)).returncode == 0


def test_overrides_reach_the_command(recipe):
    values = "training.epochs=2   arch.width=[1-9]*\ntraining.batch_size=8"
    done = recipe("--dry-run", "--preset", "tiny", "--stage=6", "--stop-stage=6", "--student-set", values)
    assert r"--set training.epochs=2 --set arch.width=\[1-9\]\* --set training.batch_size=8 " in done.stdout


def test_a_student_is_trained_once(recipe):
    students = ["--students", "label frame frame:mse label", "--losses", "mse"]
    done = recipe("--dry-run", "--preset=tiny", "--stage=6", *students)
    commands = [line for line in done.stdout.splitlines() if "train_student.py" in line]
    assert len(commands) == 2


def test_options_in_force_are_shown_and_kept(recipe, tmp_path):
    value = "options.seed=1 options.note=it's"
    done = recipe("--preset", "tiny", "--stage", "10", "--stop-stage", "10", "--corpus-set", value, "--nj", "3")
    assert done.returncode == 0
    kept = tmp_path / "exp" / "tiny" / "options.txt"
    assert "teacher=tdnn_tiny" in done.stderr and str(kept) in done.stderr
    script = f'. {kept}; printf "%s|" "$corpus_set" "$nj" "$teacher" "$data_root" "$dry_run"'
    assert run(["bash", "-c", script]).stdout == f"{value}|3|tdnn_tiny|{tmp_path}/data|false|"


@pytest.mark.parametrize("name", ["a #2", "it's: ${x}", "007"])
def test_audio_folder_of_any_name(recipe, tmp_path, name):
    """What YAML would take for a comment, an interpolation or a number comes through."""
    (tmp_path / name).mkdir()
    only_stage_1 = ["--stage", "1", "--stop-stage", "1"]
    done = recipe("--preset", "tiny", "--corpus", "folder", "--audio", tmp_path / name, *only_stage_1)
    assert done.returncode == 1 and f"{tmp_path / name}: no speaker with 2 recordings or more" in done.stderr
