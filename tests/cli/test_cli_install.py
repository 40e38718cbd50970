"""`vconflow install`: packages made here, installed by the real pip into a folder of the test."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

TOKEN = "t0ken-of-nobody"
"""What must never be shown."""


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """A package with one module that says its version when it is imported."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {text}" for text in requires]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"print('{name} {version}')\n")
        archive.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


class Site:
    """A configuration file, an index that is a folder, and a folder to install into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index"
        self.target = folder / "installed"
        self.config = folder / "config.yml"
        self.lock = folder / "config.packages.json"

    def configure(self, *pip_names: str) -> None:
        imports = {f"own{i}": {"module": "x", "pip_name": n} for i, n in enumerate(pip_names)}
        self.config.write_text(json.dumps({"imports": imports, "chains": {}}))

    def run(self, *options: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        command = [sys.executable, "-m", "vconflow", "install", "--config", str(self.config)]
        settings = {
            "VCONFLOW_ALLOW_INSTALL": "true",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PIP_TARGET": str(self.target),
            "PIP_UPGRADE": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_ROOT_USER_ACTION": "ignore",
            "COLUMNS": "120",
        }
        ended = subprocess.run(
            [*command, *options],
            env={**os.environ, **settings, **(env or {})},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def imported(self, module: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", f"import {module}"],
            env={**os.environ, "PYTHONPATH": str(self.target)},
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout.strip()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_nothing_is_installed_unless_it_is_allowed(site: Site) -> None:
    wheel(site.index, "vcf_alpha", "1.0")
    site.configure("vcf-alpha")
    code, said = site.run(env={"VCONFLOW_ALLOW_INSTALL": "false"})
    assert code == 1
    assert "VCONFLOW_ALLOW_INSTALL" in said
    assert not site.target.exists()


def test_installs_with_dependencies_and_pins_them(site: Site) -> None:
    wheel(site.index, "vcf_alpha", "1.0", "vcf_beta>=1")
    wheel(site.index, "vcf_beta", "1.5")
    site.configure("vcf-alpha<2", "vcf-alpha<2")
    code, said = site.run()
    assert code == 0, said
    assert site.imported("vcf_alpha") == "vcf_alpha 1.0"
    assert site.imported("vcf_beta") == "vcf_beta 1.5"
    assert "package_installed" in said
    pins = {pin["name"]: pin for pin in json.loads(site.lock.read_text())["pins"]}
    assert {name: pin["version"] for name, pin in pins.items()} == {
        "vcf_alpha": "1.0",
        "vcf_beta": "1.5",
    }
    assert all(pin["hashes"][0].startswith("sha256:") for pin in pins.values())


def test_what_is_pinned_stays_until_it_is_upgraded(site: Site) -> None:
    wheel(site.index, "vcf_alpha", "1.0")
    site.configure("vcf-alpha")
    assert site.run()[0] == 0
    wheel(site.index, "vcf_alpha", "1.1")
    assert site.run()[0] == 0
    assert site.imported("vcf_alpha") == "vcf_alpha 1.0"
    assert site.run("--upgrade")[0] == 0
    assert site.imported("vcf_alpha") == "vcf_alpha 1.1"
    # Another requirement is resolved anew by itself.
    site.configure("vcf-alpha<1.1")
    assert site.run()[0] == 0
    assert site.imported("vcf_alpha") == "vcf_alpha 1.0"


def test_another_file_of_the_same_version_is_refused(site: Site) -> None:
    wheel(site.index, "vcf_alpha", "1.0")
    site.configure("vcf-alpha")
    assert site.run()[0] == 0
    wheel(site.index, "vcf_alpha", "1.0", "vcf_evil")
    code, said = site.run()
    assert code == 1
    assert "HASH" in said.upper()


def test_pre_releases_by_name(site: Site) -> None:
    wheel(site.index, "vcf_alpha", "2.0rc1")
    site.configure("vcf-alpha==2.0rc1")
    assert site.run()[0] == 0
    assert site.imported("vcf_alpha") == "vcf_alpha 2.0rc1"


@pytest.mark.parametrize(
    ("requirement", "version"),
    [
        ("vcf-alpha>=2.0rc1", "2.0rc1"),
        ("vcf-alpha>=1,!=3", "1.0"),
    ],
)
def test_pre_releases_only_where_the_versions_name_one(
    site: Site, requirement: str, version: str
) -> None:
    wheel(site.index, "vcf_alpha", "1.0")
    wheel(site.index, "vcf_alpha", "2.0rc1")
    site.configure(requirement)
    assert site.run()[0] == 0
    assert site.imported("vcf_alpha") == f"vcf_alpha {version}"


def test_pip_names_of_all_sections(site: Site) -> None:
    for name in ("vcf_alpha", "vcf_beta", "vcf_gamma", "vcf_delta"):
        wheel(site.index, name, "1.0")
    document = {
        "imports": {"plain": "vcf_none", "alpha": {"module": "vcf_alpha", "pip_name": "vcf-alpha"}},
        "links": {"b": {"module": "vcf_beta", "pip_name": "vcf-beta==1.0"}},
        "storages": {"c": {"module": "vcf_gamma:Storage", "pip_name": "vcf-gamma>=1,<2"}},
        "tracers": {"d": {"module": "vcf_delta", "pip_name": "${DELTA:-vcf-delta}"}},
    }
    site.config.write_text(json.dumps(document))
    code, said = site.run()
    assert code == 0, said
    pins = json.loads(site.lock.read_text())["pins"]
    assert [pin["name"] for pin in pins] == ["vcf_alpha", "vcf_beta", "vcf_delta", "vcf_gamma"]


def test_a_repository_by_its_name(site: Site, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    commit(repository, "1.0")
    env = {"GIT_CONFIG_GLOBAL": str(git_config(tmp_path, repository))}
    site.configure(f"vcf_repo @ git+file://{TOKEN}@{repository}@main")
    code, said = site.run(env=env)
    assert code == 0, said
    commit(repository, "1.1")
    assert site.run(env=env)[0] == 0
    assert site.imported("vcf_repo") == "vcf_repo 1.0"


def test_a_repository_is_pinned_to_its_commit(site: Site, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    commit(repository, "1.0")
    site.configure(f"git+file://${{USER_TOKEN}}@{repository}@main")
    env = {"USER_TOKEN": TOKEN, "GIT_CONFIG_GLOBAL": str(git_config(tmp_path, repository))}
    code, said = site.run(env=env)
    assert code == 0, said
    assert site.imported("vcf_repo") == "vcf_repo 1.0"
    commit(repository, "1.1")
    assert site.run(env=env)[0] == 0
    assert site.imported("vcf_repo") == "vcf_repo 1.0"
    code, said = site.run("--upgrade", env=env)
    assert code == 0
    assert site.imported("vcf_repo") == "vcf_repo 1.1"
    assert TOKEN not in said + site.lock.read_text()


def test_what_cannot_be_had(site: Site) -> None:
    site.index.mkdir()
    site.configure(f"git+https://{TOKEN}@127.0.0.1:1/nobody/nothing.git")
    code, said = site.run()
    assert code == 1
    assert TOKEN not in said
    site.configure("vcf-nowhere")
    code, said = site.run()
    assert code == 1
    assert "vcf-nowhere" in said
    assert not site.lock.exists()


@pytest.mark.parametrize(
    "text", ["--index-url=x", "-e .", "a b", "a\nb", "vconflow==9", "../folder", "file:///x"]
)
def test_what_is_no_requirement(site: Site, text: str) -> None:
    site.configure(text)
    code, said = site.run()
    assert code == 1
    assert "imports.own0.pip_name" in said


def test_a_file_that_names_nothing(site: Site) -> None:
    site.configure()
    assert site.run() == (0, f"{site.config} names no packages (pip_name)\n")


def test_check_config_names_what_is_missing(site: Site) -> None:
    site.config.write_text(
        json.dumps({"imports": {"own": {"module": "vcf_none.part", "pip_name": "vcf-none"}}})
    )
    command = [sys.executable, "-m", "vconflow", "check-config", str(site.config)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "imports.own.pip_name: vcf-none is not installed: run `vconflow install`" in ended.stderr


def commit(repository: Path, version: str) -> None:
    """Commit a package that builds itself, without anything from an index."""
    repository.mkdir(exist_ok=True)
    (repository / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "vcf_repo"\nversion = "{version}"\n'
    )
    (repository / "backend.py").write_text(BACKEND.replace("VERSION", version))
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repository)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", version], check=True)


def git_config(folder: Path, repository: Path) -> Path:
    """git takes a URL with a user for the folder: no server is needed."""
    file = folder / "gitconfig"
    file.write_text(
        f'[url "file://{repository}"]\n\tinsteadOf = "file://{TOKEN}@{repository}"\n'
        "[safe]\n\tdirectory = *\n"
    )
    return file


BACKEND = """
import zipfile

INFO = "vcf_repo-VERSION.dist-info"
FILES = {
    "vcf_repo.py": "print('vcf_repo VERSION')",
    INFO + "/METADATA": "Metadata-Version: 2.1\\nName: vcf_repo\\nVersion: VERSION",
    INFO + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any",
    INFO + "/RECORD": "",
}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "vcf_repo-VERSION-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as archive:
        for path, text in FILES.items():
            archive.writestr(path, text and text + "\\n")
    return name
"""
