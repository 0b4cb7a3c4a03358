"""`wtrace doctor` on worktrees: whose code a worker imports, what it brings along, what it asks of the machine."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from race_lab import Lab

FINDER = """
import importlib.machinery, importlib.util, sys
MAPPING = {mapping!r}


class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            file = MAPPING[name] + "/__init__.py"
            return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[MAPPING[name]])


def install():
    sys.meta_path.append(Finder)
"""


def with_package(lab: Lab, place: str) -> None:
    """A repo whose training is made of a package in that folder."""
    package = lab.root / place / "mylib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('importing me is not asked for')\n")
    lab.git("add", ".")
    lab.git("commit", "--quiet", "-m", "a package")


def environment(folder: Path) -> Path:
    """A Python of its own; returns its site-packages."""
    venv.create(folder, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    return site


def racing(lab: Lab, python: str = "python", setup: str = "") -> None:
    lab.race({"a": [["check", 5, 2.0]]}, workers=setup)
    file = lab.root / "wtrace.toml"
    file.write_text(file.read_text().replace('["python", "train.py"]', f'["{python}", "train.py"]'))
    lab.wtrace("setup")


def imports(lab: Lab, *, expect: int = 0) -> str:
    told = lab.wtrace("doctor", expect=expect).stdout
    lines = told.splitlines()
    at = next(n for n, line in enumerate(lines) if " imports" in line)
    return "\n".join(lines[at : at + 2])


def test_code_beside_the_script_is_the_worktrees_own(lab: Lab) -> None:
    with_package(lab, "")
    lab.race({"a": []})
    assert "not looked at: there is no worktree yet" in imports(lab)
    lab.wtrace("setup")
    assert "ok       imports a: its own code: mylib, train" in imports(lab)
    del lab.env["WTRACE_TRUST"]
    assert "not looked at: the commands are not approved" in imports(lab)


@pytest.mark.parametrize("how", ["a path", "a finder"])
def test_an_editable_install_of_the_main_checkout_is_a_problem(lab: Lab, how: str) -> None:
    with_package(lab, "src")
    site = environment(lab.home / "env")
    if how == "a path":
        (site / "_mylib.pth").write_text(f"{lab.root / 'src'}\n")
    else:
        mapping = {"mylib": str(lab.root / "src" / "mylib")}
        (site / "__editable___mylib_finder.py").write_text(FINDER.format(mapping=mapping))
        (site / "__editable__.mylib.pth").write_text("import __editable___mylib_finder as f; f.install()\n")
    racing(lab, str(lab.home / "env" / "bin" / "python"))
    told = imports(lab, expect=1)
    assert f"problem  imports a: mylib comes from {lab.root}/src/mylib/__init__.py" in told
    assert "mend: give the worktree an environment of its own" in told


def test_an_environment_of_its_own_mends_it(lab: Lab) -> None:
    with_package(lab, "src")
    file = lab.home / "make.py"
    file.write_text(
        "import pathlib, venv\n"
        "venv.create('.venv', symlinks=True)\n"
        "(site,) = pathlib.Path('.venv/lib').glob('python*/site-packages')\n"
        "(site / '_mylib.pth').write_text(str(pathlib.Path('src').absolute()))\n"
    )
    racing(lab, setup=f'setup = [["python", "{file}"]]')
    told = imports(lab)
    assert "ok       imports a: its own code: mylib, train" in told
    assert "repo-worktrees/a/.venv/bin/python" in told


def test_a_link_to_the_main_checkout_does_not_make_code_its_own(lab: Lab) -> None:
    with_package(lab, "src")
    racing(lab)
    tree = lab.root.parent / "repo-worktrees" / "a"
    (tree / "mylib").symlink_to(lab.root / "src" / "mylib")
    assert "problem  imports a: mylib comes from" in imports(lab, expect=1)


def test_a_python_that_cannot_be_asked_is_told(lab: Lab) -> None:
    broken = lab.home / "python3"
    broken.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 1\n")
    broken.chmod(0o755)
    racing(lab, str(broken))
    assert "could not be asked: no such library" in imports(lab)


def test_what_pip_installs_as_editable_is_found(lab: Lab) -> None:
    """The real thing, with the build backend of this environment."""
    backend = importlib.util.find_spec("setuptools")
    if backend is None or backend.origin is None or importlib.util.find_spec("pip") is None:
        pytest.skip("needs setuptools and pip")
    with_package(lab, "src")
    (lab.root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "mylib"\nversion = "1"\n'
    )
    site = environment(lab.home / "env")
    python = lab.home / "env" / "bin" / "python"
    (site / "backend.pth").write_text(f"{Path(backend.origin).parents[1]}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--no-deps", "--editable", str(lab.root)],
        capture_output=True, text=True, check=False, cwd=lab.home, env=lab.env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    racing(lab, str(python))
    assert "problem  imports a: mylib comes from" in imports(lab, expect=1)


def test_a_repo_that_needs_git_lfs_says_so_where_it_is_missing(lab: Lab, tmp_path: Path) -> None:
    (lab.root / ".gitattributes").write_text("*.bin filter=lfs\n")
    lab.race({"a": []})
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "env", "sh"):
        (bare / name).symlink_to(str(shutil.which(name)))
    lab.env["PATH"] = str(bare)
    lab.env["GIT_EXEC_PATH"] = lab.git("--exec-path").strip()
    assert "warning  git lfs: this repository uses it" in lab.wtrace("doctor").stdout


def test_what_is_asked_for_and_not_there_is_a_problem(lab: Lab) -> None:
    lab.race({"a": []}, workers='include = ["data/"]\ncpus = 9999')
    told = lab.wtrace("doctor", expect=1).stdout
    assert "problem  files to bring: workers.a.include: the main worktree has no data/" in told
    assert "problem  resources a: it asks for 9999 cores" in told
