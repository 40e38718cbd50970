"""The systemd units: valid, hardened, and gentle to what is under way."""

import re
import shutil
from pathlib import Path

from deploy_files import DEPLOY, environment_file, run, settings

SYSTEMD = DEPLOY / "systemd"
SERVICE = SYSTEMD / "vconflow@.service"
MOST_EXPOSED = 20
"""Tenths of the points that `systemd-analyze security` gives: 1.3 now, 9.6 without hardening."""


def installed(folder: Path) -> list[Path]:
    """The units as they are, apart from the program, which is not there on this machine."""
    for path in SYSTEMD.iterdir():
        shutil.copy(path, folder)
    unit = folder / SERVICE.name
    text = unit.read_text()
    assert "ExecStart=/opt/vconflow/bin/vconflow serve\n" in text
    unit.write_text(text.replace("/opt/vconflow/bin/vconflow", "/bin/true"))
    return [path for path in folder.iterdir() if path.suffix != ".example"]


def setting(name: str) -> str:
    (value,) = re.findall(rf"(?m)^{name}=(.*)$", SERVICE.read_text())
    return value


def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    units = installed(tmp_path)
    assert {unit.suffix for unit in units} == {".service", ".slice", ".target"}
    assert run("systemd-analyze", "verify", *units) == ""


def test_systemd_would_find_a_misspelt_setting(tmp_path: Path) -> None:
    installed(tmp_path)
    unit = tmp_path / SERVICE.name
    unit.write_text(unit.read_text().replace("TimeoutStopSec", "TimeoutStopSecs"))
    assert "TimeoutStopSecs" in run("systemd-analyze", "verify", unit)


def test_the_service_is_hardened(tmp_path: Path) -> None:
    installed(tmp_path)
    limit = f"--threshold={MOST_EXPOSED}"
    run("systemd-analyze", "security", "--offline=yes", limit, tmp_path / SERVICE.name)


def test_variables_are_known_and_each_replica_has_a_name() -> None:
    pairs = re.findall(r"(?m)^Environment=(.*)$", SERVICE.read_text())
    set_by_unit = dict(pair.split("=", 1) for line in pairs for pair in line.split())
    given = environment_file(SYSTEMD / "vconflow.env.example") | set_by_unit
    assert settings(given).vconflow_replica == "%l-%i"


def test_a_replica_has_the_time_to_stop() -> None:
    assert int(setting("TimeoutStopSec")) > settings({}).vconflow_grace_seconds + 10
    assert setting("KillSignal") == "SIGTERM"
    assert int(setting("LimitNOFILE")) > settings({}).vconflow_max_connections
