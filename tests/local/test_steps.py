"""Steps that are done once: what makes them be done again, and what is left when they fail."""

import os
import signal
import subprocess

import pytest
from shell import ROOT, environment, files, run, running, wait_for

PRELUDE = """
set -euo pipefail
. local/common.sh
"""


@pytest.fixture
def steps(tmp_path):
    """Runs a script with the recipe's functions; W is the test's folder."""

    def start(script, *options):
        roots = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        return run(["bash", "-c", PRELUDE + script, "recipe", *roots, *options], W=str(tmp_path))

    return start


COPY = 'step "$W/.done" "the copy" --input "$W/in.yaml" -- run cp "$W/in.yaml" "$W/out"\n'


def copied(steps, tmp_path, text="a: 1\n"):
    (tmp_path / "in.yaml").write_text(text)
    done = steps(COPY)
    assert done.returncode == 0, done.stderr
    return done


def test_step_is_done_once(steps, tmp_path):
    copied(steps, tmp_path)
    before = files(tmp_path)
    done = steps(COPY)
    assert done.returncode == 0 and "up to date: the copy" in done.stderr
    assert files(tmp_path) == before


def test_changed_input_is_named(steps, tmp_path):
    copied(steps, tmp_path)
    done = copied(steps, tmp_path, "a: 2\n")
    assert f"the copy (changed since: {tmp_path}/in.yaml)" in done.stderr
    assert (tmp_path / "out").read_text() == "a: 2\n"


def test_input_with_a_space_in_its_name_is_named_whole(steps, tmp_path):
    script = 'step "$W/.done" it --input "$W/a file" -- true'
    (tmp_path / "a file").write_text("1")
    steps(script)
    (tmp_path / "a file").write_text("2")
    assert f"it (changed since: {tmp_path}/a file)" in steps(script).stderr


def test_touched_input_or_comment_changes_nothing(steps, tmp_path):
    copied(steps, tmp_path)
    assert "up to date" in copied(steps, tmp_path, "a: 1\n").stderr
    assert "up to date" in copied(steps, tmp_path, "# of a kind\n\na: 1  # one\n").stderr
    assert "changed" in copied(steps, tmp_path, "a: '1  # one'\n").stderr


def test_changed_command(steps, tmp_path):
    copied(steps, tmp_path)
    done = steps(COPY.replace("cp", "cp -p"))
    assert "the copy (changed since: command)" in done.stderr


def test_input_that_is_no_longer_one(steps, tmp_path):
    script = 'step "$W/.done" it --input "$W/a" {} -- true'
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    steps(script.format('--input "$W/b"'))
    assert "it (changed since: its list of inputs)" in steps(script.format("")).stderr


def test_many_changes_make_a_short_line(steps, tmp_path):
    script = 'step "$W/.done" it $(for i in 1 2 3 4 5 6; do echo --input "$W/$i"; done) -- true'
    for text in ("old", "new"):
        for name in "123456":
            (tmp_path / name).write_text(text)
        done = steps(script)
    assert "/1, " in done.stderr and "and 3 more)" in done.stderr and "/5" not in done.stderr


def test_force(steps, tmp_path):
    copied(steps, tmp_path)
    (tmp_path / "out").unlink()
    assert "the copy (--force)" in steps(COPY, "--force").stderr
    assert (tmp_path / "out").exists()
    assert "up to date" in steps(COPY).stderr


def test_missing_input(steps, tmp_path):
    done = steps(COPY + "echo went on")
    assert done.returncode == 1 and "went on" not in done.stdout
    assert f"{tmp_path}/in.yaml is missing: run the stage that makes it" in done.stderr
    assert files(tmp_path) == {}


def test_what_stands_on_a_step_is_redone_with_it(steps, tmp_path):
    first = 'step "$W/.done" first --input "$W/in.yaml" -- true\n'
    second = 'step "$W/.done2" second --input "$W/.done" -- true\n'
    (tmp_path / "in.yaml").write_text("a: 1")
    steps(first + second)
    assert steps(first + second).stderr.count("up to date") == 2
    steps(first, "--force")  # the same content again: it need not be the same result
    done = steps(first + second)
    assert "up to date: first" in done.stderr
    assert f"second (changed since: {tmp_path}/.done)" in done.stderr


@pytest.mark.parametrize("kind", ["step", "queue"])
def test_step_that_failed_is_redone(steps, tmp_path, kind):
    """A step that was done, then begun again and interrupted, is not taken for whole."""
    script = f"""{kind} "$W/.done" it --input "$W/in.yaml" -- bash -c 'echo half >"$W/out"; ! grep -q bad "$W/in.yaml"'
        run_queue "$W/log" it $score_cmd"""
    (tmp_path / "in.yaml").write_text("good")
    assert steps(script).returncode == 0
    (tmp_path / "in.yaml").write_text("bad")
    assert steps(script).returncode == 1
    (tmp_path / "in.yaml").write_text("good")
    done = steps(script)
    assert done.returncode == 0 and "up to date" not in done.stderr
    assert "up to date: it" in steps(script).stderr


def test_what_a_killed_job_has_left_half_written_is_removed(steps, tmp_path):
    """Hundreds of gigabytes perhaps, of which nobody knows. Other people's files are left alone."""
    script = """step "$W/.done" it --output "$W/levels/a.ark" -- python3 -c '
import os, sys
sys.path.insert(0, "pyscripts")
from xvkd.kaldi.files import atomic_write
with atomic_write(os.environ["W"] + "/levels/a.ark", "wb") as file:
    file.write(b"half")
    file.flush()
    if not os.path.exists(os.environ["W"] + "/go"):
        os.kill(os.getpid(), 9)
'"""
    (tmp_path / "levels").mkdir()
    (tmp_path / "levels" / ".mine.tmp").touch()
    assert steps(script).returncode != 0
    assert len(list((tmp_path / "levels").iterdir())) == 2
    (tmp_path / "go").touch()
    assert steps(script).returncode == 0
    assert sorted(path.name for path in (tmp_path / "levels").iterdir()) == [".mine.tmp", "a.ark"]


def test_what_others_are_writing_is_left_alone(steps, tmp_path):
    """A script file that is given may lead to where another run is at work."""
    (tmp_path / "theirs").mkdir()
    unfinished = tmp_path / "theirs" / ".a.ark.0123abcd.tmp"
    unfinished.touch()
    (tmp_path / "theirs" / "a.scp").write_text(f"u1 {tmp_path}/theirs/a.ark:5\n")
    assert steps('step "$W/ours/.done" it --scp "$W/theirs/a.scp" -- true').returncode == 0
    assert unfinished.exists()


def test_mark_appears_when_the_command_has_ended(steps, tmp_path):
    script = """queue "$W/.done" it -- bash -c 'test ! -e "$W/.done" && test -e "$W/.done.new"'
        run_queue "$W/log" it $score_cmd"""
    assert steps(script).returncode == 0
    assert steps(script, "--force").returncode == 0
    assert (tmp_path / ".done").exists() and not (tmp_path / ".done.new").exists()


def test_damaged_mark_is_no_mark(steps, tmp_path):
    copied(steps, tmp_path)
    (tmp_path / ".done").write_bytes(b"\xff\0")
    done = steps(COPY)
    assert done.returncode == 0 and "up to date" not in done.stderr


def test_folder_as_input(steps, tmp_path):
    script = 'step "$W/.done" it --input "$W/in" -- true'
    reason = f"changed since: {tmp_path}/in"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "in" / "below" / "a").write_text("1")
    (tmp_path / "in" / "nowhere").symlink_to("no-such-file")
    (tmp_path / "in" / "link").symlink_to(elsewhere)
    assert steps(script).returncode == 0
    assert "up to date" in steps(script).stderr
    (tmp_path / "in" / "below" / "a").write_text("12")
    assert reason in steps(script).stderr
    (tmp_path / "in" / "b").write_text("new")
    assert reason in steps(script).stderr
    (elsewhere / "c").write_text("behind a link")
    assert reason in steps(script).stderr
    assert "up to date" in steps(script).stderr


def test_large_file_is_told_by_its_size_and_time(steps, tmp_path):
    script = 'step "$W/.done" it --input "$W/large" -- true'
    with open(tmp_path / "large", "wb") as file:
        file.truncate(65 * 2**20)
    steps(script)
    assert "up to date" in steps(script).stderr
    os.utime(tmp_path / "large", (1, 1))
    assert f"changed since: {tmp_path}/large" in steps(script).stderr


def test_dry_run_writes_nothing_and_keeps_marks(steps, tmp_path):
    script = COPY + 'queue "$W/.done2" "the echo" -- echo "two words"\nrun_queue "$W/log" it $score_cmd'
    done = steps(script, "--dry-run")
    assert done.returncode == 0 and files(tmp_path) == {}
    assert "the copy" in done.stderr and "echo two\\ words" in done.stdout
    (tmp_path / "in.yaml").write_text("a: 1")
    assert steps(script).returncode == 0
    before = files(tmp_path)
    assert "the copy (--force)" in steps(script, "--dry-run", "--force").stderr
    assert files(tmp_path) == before
    assert steps(script).stderr.count("up to date") == 2


def test_warnings_of_jobs_are_shown_once(steps):
    script = """for i in 1 2; do queue "$W/$i/.done" it -- bash -c 'for w in 1 1 2 3 4 5 6; do
          echo "2026-01-02 03:04:05 warning: the $w. thing"; done; echo "2026-01-02 03:04:05 no warning: nothing"'; done
        run_queue "$W/log" it $score_cmd"""
    shown = [line.strip() for line in steps(script).stderr.splitlines() if "warning" in line]
    assert shown[:-1] == [f"warning: the {number}. thing" for number in range(1, 6)]
    assert shown[-1].startswith("and 1 more warnings, in ") and shown[-1].endswith("it.2.log and its like")


CELLS = """
for i in 1 2 3; do
  queue "$W/$i/.done" "cell $i" -- bash -c "touch '$W/$i/ran'; [ $i != 2 ] || [ -e '$W/mended' ]"
done
run_queue "$W/log" cells local/launch/run_local --max-jobs-run 3
echo went on
"""


def test_failing_cell_does_not_touch_the_others(steps, tmp_path):
    done = steps(CELLS)
    assert done.returncode == 1 and "went on" not in done.stdout
    assert "log/cells.2.log" in done.stderr
    assert [(tmp_path / str(i) / ".done").exists() for i in (1, 2, 3)] == [True, False, True]
    (tmp_path / "mended").touch()
    done = steps(CELLS)
    assert done.returncode == 0 and "went on" in done.stdout
    assert "up to date: cell 1" in done.stderr and "up to date: cell 3" in done.stderr
    assert steps(CELLS).stderr.count("up to date") == 3


def test_cells_take_any_argument(steps, tmp_path):
    words = r"""'a b' "it's" '$(touch "$W/made")' '*' 'x;y&z' $'two\nlines' JOB"""
    script = f"""queue "$W/a 'folder'/.done" it -- bash -c 'printf "[%s]" "$@" >"$W/out"' bash {words}
        run_queue "$W/log" it $score_cmd"""
    done = steps(script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_text() == """[a b][it's][$(touch "$W/made")][*][x;y&z][two\nlines][JOB]"""
    assert (tmp_path / "a 'folder'" / ".done").exists() and not (tmp_path / "made").exists()


def test_empty_queue_starts_nothing(steps, tmp_path):
    assert steps('run_queue "$W/log" it no-such-launcher').returncode == 0
    assert files(tmp_path) == {}


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_jobs_of_a_script_that_is_killed_are_ended(tmp_path, kind):
    script = """queue "$W/.done" it -- bash -c 'echo $$ >"$W/job.new"; mv "$W/job.new" "$W/job"; sleep 600'
        run_queue "$W/log" it $score_cmd"""
    stage = subprocess.Popen(
        ["bash", "-c", PRELUDE + script, "recipe", "--exp-root", tmp_path], cwd=ROOT, env=environment(W=str(tmp_path)),
        stderr=subprocess.PIPE,
    )
    wait_for((tmp_path / "job").exists, "the job to begin")
    job = int((tmp_path / "job").read_text())
    stage.send_signal(kind)
    stage.communicate()
    wait_for(lambda: not running(job), "the job to end")
    assert not (tmp_path / ".done").exists()


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), ([], 1), (["only-a-mark"], 1)])
def test_cell_says_how_it_is_used(words, status):
    done = run(["local/cell.sh", *words])
    assert done.returncode == status and "usage: local/cell.sh DONE COMMAND..." in done.stdout


def test_a_lost_output_is_made_again(steps, tmp_path):
    script = COPY.replace("--", '--output "$W/out" --', 1)
    (tmp_path / "in.yaml").write_text("a: 1\n")
    steps(script)
    assert "up to date: the copy" in steps(script).stderr
    (tmp_path / "out").unlink()
    done = steps(script)
    assert f"the copy ({tmp_path}/out is missing)" in done.stderr
    assert (tmp_path / "out").read_text() == "a: 1\n"


def test_a_lost_archive_of_a_script_file_is_made_again(steps, tmp_path):
    (tmp_path / "in.yaml").write_text("a: 1\n")
    script = 'step "$W/.done" it --scp "$W/x.scp" -- run cp "$W/in.yaml" "$W/x y.ark"\n'
    (tmp_path / "x.scp").write_text("".join(f"u{i} {tmp_path}/x y.ark:{i}\n" for i in range(5)))
    steps(script)
    assert "up to date: it" in steps(script).stderr
    (tmp_path / "x y.ark").unlink()
    assert f"it ({tmp_path}/x y.ark is missing)" in steps(script).stderr
    assert (tmp_path / "x y.ark").exists()


def test_archives_are_found_whatever_stands_behind_their_names(steps, tmp_path):
    """Scripts of other people's: without offsets, and with ranges."""
    script = 'step "$W/.done" it --scp "$W/x.scp" -- true\n'
    (tmp_path / "x:1.ark").touch()
    ends = ("", ":5", ":5[0:9]", "[0:9,:]")
    (tmp_path / "x.scp").write_text("".join(f"u{end} {tmp_path}/x:1.ark{end}\n" for end in ends))
    steps(script)
    assert "up to date: it" in steps(script).stderr
