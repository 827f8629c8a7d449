"""The environment: which Python is good enough, and the .venv that is made where none is."""

import re
import shutil
import sys

import pytest
from shell import ROOT, run

CHECK = ROOT / "local" / "check_environment.py"


@pytest.fixture
def check(tmp_path):
    """Checks lines of requirements in a Python that has the given distributions besides its own."""

    def start(requirements, **versions):
        for name, version in versions.items():
            folder = tmp_path / "site" / f"{name}-{version}.dist-info"
            folder.mkdir(parents=True)
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (tmp_path / "requirements.txt").write_text(requirements)
        return run([sys.executable, CHECK, "requirements.txt"], cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))

    return start


@pytest.mark.parametrize(
    ("found", "least"),
    [("1.4", "1.4"), ("1.10", "1.9"), ("2.13.0+cpu", "2.4"), ("2", "2.0.0"), ("2.0.0", "2"), ("3.0rc1", "2.9.9")],
)
@pytest.mark.parametrize("sign", [">=", "=="])
def test_new_enough(check, found, least, sign):
    done = check(f"# what is needed\n\nxvkd_probe{sign}{least}  # and why\n", xvkd_probe=found)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("found", "least"), [("1.9", "1.10"), ("2.4.0+cu12", "2.4.1"), ("0.9", "1"), ("1", "1.0.1")])
def test_too_old(check, found, least):
    done = check(f"xvkd_probe>={least}\n", xvkd_probe=found)
    assert done.returncode == 1 and done.stderr == f"xvkd_probe {found} is older than {least}\n"


def test_everything_that_is_missing_is_named(check):
    done = check("xvkd_probe>=1\nxvkd_nothing>=1\nxvkd_other>=2\n", xvkd_probe="1.0", xvkd_other="1.0")
    assert done.returncode == 1
    assert done.stderr == "xvkd_nothing is not installed; xvkd_other 1.0 is older than 2\n"


def test_markers(check):
    done = check('xvkd_old==1; python_version < "3.10"\nxvkd_new==1; python_version >= "3.10"  # why\n')
    assert done.returncode == 1 and done.stderr == "xvkd_new is not installed\n"


def test_this_python_is_good_enough():
    done = run([sys.executable, CHECK, ROOT / "requirements-min.txt"])
    assert done.returncode == 0, done.stderr


def test_what_is_pinned_is_new_enough():
    """What requirements.txt installs must pass the check that decides whether to use it."""
    pinned = dict(
        line.split("#")[0].split(";")[0].strip().split("==")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for line in (ROOT / "requirements-min.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, least = line.split(">=")
            parts = [[int(part) for part in version.split(".")] for version in (pinned[name], least)]
            assert parts[0] >= parts[1], line


def test_help_and_mistakes(tmp_path):
    script = ROOT / "local" / "make_environment.sh"
    done = run([f"{ROOT.name}/local/make_environment.sh", "--help"], cwd=ROOT.parent)
    assert done.returncode == 0 and "usage: local/make_environment.sh [--dev]" in done.stdout
    for words in (["--debug"], ["--dev", "--quiet"], ["dev"]):
        done = run([script, *words], cwd=tmp_path)
        assert done.returncode == 1 and f"error: '{' '.join(words)}': unknown option (see --help)" in done.stderr


def test_active_environment_is_used_as_it_is():
    """Also where it is the project's own."""
    done = run([ROOT / "local" / "make_environment.sh"])
    assert done.returncode == 0
    assert re.fullmatch(r"environment: (\S+ has what is needed|up to date: \.venv)\n", done.stderr)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that needs what no environment has, and whose own environment needs nothing from a registry."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "local", root / "local")
    shutil.copy(ROOT / "path.sh", root)
    (root / "requirements-min.txt").write_text("xvkd-nothing>=1\n")
    (root / "requirements.txt").write_text("# nothing\n")
    return root


def test_environment_is_made_once_and_used(project):
    make = project / "local" / "make_environment.sh"
    which = ["bash", "-c", ". ./path.sh; command -v python3"]
    assert run(which, cwd=project).stdout.strip() != f"{project}/.venv/bin/python3"
    done = run([make])
    assert done.returncode == 0 and "environment: making .venv with Python 3." in done.stderr
    assert run(which, cwd=project).stdout == f"{project}/.venv/bin/python3\n"
    done = run([make])
    assert done.returncode == 0 and done.stderr == "environment: up to date: .venv\n"
    # An installation that failed half-way, here for want of a package, is gone on with.
    (project / "requirements.txt").write_text("./no-such-package\n")
    done = run([make])
    assert done.returncode != 0 and "no-such-package" in done.stderr
    (project / "requirements.txt").write_text("# nothing\n")
    # So is one whose Python is not there any more.
    (project / ".venv" / "bin" / "python3").unlink()
    (project / ".venv" / "bin" / "python3").symlink_to("/no/such/python3")
    assert "environment: making .venv" in run([make]).stderr
    assert run(which, cwd=project).stdout == f"{project}/.venv/bin/python3\n"
    assert "up to date" in run([make]).stderr


def test_without_a_python_that_will_do(project, tmp_path):
    for name in ("bash", "dirname", "cmp", "sed"):
        (tmp_path / name).symlink_to(shutil.which(name))
    shutil.rmtree(project / ".venv" / "installed", ignore_errors=True)
    done = run(["bash", project / "local" / "make_environment.sh"], PATH=str(tmp_path))
    assert done.returncode == 1
    assert "no Python 3.10 or newer was found; install one, or activate an environment" in done.stderr
