"""The soak itself, for a few seconds; and that it would see what it is there to see."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .cases import Case, Cases
from .documents import Copy, Documents
from .faults import KINDS, Fault, FaultLog, Struck, schedule
from .logs import read_logs
from .memory import judge
from .options import FINAL, FIRST, STORAGES
from .verdict import Account, Observed, account

ROOT = Path(__file__).parents[2]
WHOLE = Copy(frozenset({"first", "second"}), changed=False, intact=True)


def test_a_short_soak_loses_nothing(tmp_path: Path, shared_data: Path) -> None:
    """Some seconds of load, in which a replica, Valkey and PostgreSQL go down."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.soak", "--report", str(report)]
    # This seed strikes with a good mixture in so short a time.
    command += ["--minutes", "0.17", "--seed", "1865", "--gap", "1.2", "--replicas", "2"]
    command += ["--burst", "60", "--settle", "120", "--keep", str(tmp_path / "soak")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    counts = found["sections"]["vCons"]
    assert counts["lost"] == counts["still open"] == 0
    assert counts["completed"] > 50
    outcomes = ("completed", "dead", "deleted", "deletion with unknown outcome")
    assert sum(counts[name] for name in outcomes) == counts["accepted"]
    assert {"replica kill -9", "redis kill -9"} <= found["sections"]["Faults"].keys()
    assert "**Passed.**" in report.with_suffix(".md").read_text()


def finished(cases: Cases, **facts: object) -> Case:
    """An accepted vCon that went all the way, apart from `facts`."""
    case = cases.new()
    case.poison, case.wish = "", ""
    case.accepted, case.sends, case.hooks = 1.0, 1, {"in:1": [2.0]}
    case.pops = {FIRST: [3.0], FINAL: [4.0]}
    for name, value in facts.items():
        setattr(case, name, value)
    return case


def count(cases: Cases, *faults: Struck, **observed: object) -> Account:
    """The account when every vCon is in every storage, unless `observed` says otherwise."""
    everywhere = dict.fromkeys(cases.all, WHOLE)
    copies = dict.fromkeys(STORAGES, everywhere)
    state = {"copies": copies, "dead": {}, "waiting": set()} | observed
    return account(cases, Observed(**state), FaultLog(list(faults)))  # type: ignore[arg-type]


def test_what_is_missing_anywhere_is_lost() -> None:
    cases = Cases(1, 5)
    good = finished(cases)
    popped = finished(cases, pops={FIRST: [3.0]})
    untagged, absent = finished(cases), finished(cases)
    everywhere = {case.uuid: WHOLE for case in (good, popped, untagged, absent)}
    files = {uuid: copy for uuid, copy in everywhere.items() if uuid != absent.uuid}
    half = everywhere | {untagged.uuid: Copy(frozenset({"first"}), changed=False, intact=True)}
    copies = {"postgres": half, "files": files, "archive": everywhere}
    result = count(cases, copies=copies)
    assert result.completed == 1
    assert result.lost == {
        popped.uuid: "never at final-out",
        untagged.uuid: "in postgres without the tag of a chain",
        absent.uuid: "not in files",
    }


def test_the_dead_the_deleted_and_the_open_are_not_lost() -> None:
    cases = Cases(1, 5)
    dead, waiting = finished(cases, pops={}), finished(cases, pops={})
    finished(cases, pops={}, deleted=9.0)
    finished(cases, pops={}, wish="delete", unsure=True)
    unsent = finished(cases, pops={}, accepted=0.0)
    copies: dict[str, dict[str, Copy]] = {name: {} for name in STORAGES}
    result = count(cases, copies=copies, dead={dead.uuid: "why"}, waiting={waiting.uuid})
    assert unsent.uuid not in result.lost
    assert (result.accepted, result.completed, result.lost) == (4, 0, {})
    assert (result.dead, result.waiting, result.deleted) == ({"why": 1}, 1, 1)
    assert result.unsure == 1
    assert result.broken == []


@pytest.mark.parametrize(
    ("facts", "broken"),
    [
        ({"deleted": 9.0}, "was deleted, and is in postgres"),
        ({"changed": 9.0}, "is read without the change"),
        ({"changed": 1.5}, "was changed during its chain, and is in files without"),
    ],
)
def test_broken_promises_are_seen(facts: dict[str, float], broken: str) -> None:
    cases = Cases(1, 5)
    finished(cases, **facts)
    assert any(broken in text for text in count(cases).broken)
    # A POST that was carried out again later is no promise broken.
    next(cases.accepted()).sends = 2
    assert count(cases).broken == []


def test_repeats_are_explained_by_what_happened() -> None:
    cases = Cases(1, 5)
    finished(cases, sends=2, hooks={"in:1": [2.0], "in:2": [2.5]}, pops={FIRST: [3.0, 3.5]})
    finished(cases, hooks={"in:3": [100.0, 105.0]}, pops={FIRST: [106.0, 112.0]})
    kill = Struck(Fault(0.0, "replica kill -9", "replica-2", 0.0), 101.0, 101.0)
    result = count(cases, kill)
    died = "replica died or stood still"
    posted = "POST repeated after a lost answer"
    assert result.webhook_again == {posted: 1, died: 1}
    assert result.egress_again == {posted: 1, f"handed out, not acknowledged: {died}": 1}
    assert count(cases).webhook_again["unexplained"] == 1


def test_the_schedule_is_repeatable_and_spares_the_first_replica() -> None:
    faults = schedule(7, 600, 5, 3)
    assert faults == schedule(7, 600, 5, 3) != schedule(8, 600, 5, 3)
    assert {fault.kind for fault in faults} == KINDS.keys()
    ended = {
        fault.target for fault in faults if fault.kind in ("replica kill -9", "replica SIGTERM")
    }
    assert ended == {"replica-2", "replica-3"}
    for number, fault in enumerate(faults):
        later = [other for other in faults[number + 1 :] if other.target == fault.target]
        assert all(other.at >= fault.at + fault.seconds for other in later)


def test_memory_that_grows_is_not_flat() -> None:
    mib = 1 << 20
    flat = [(float(second), 60 * mib) for second in range(600)]
    growing = [(at, size + int(at * mib / 10)) for at, size in flat]
    judged = [judge(samples) for samples in (flat, growing, growing[:100], [])]
    assert [found and found.flat for found in judged] == [True, False, None, None]
    assert judged[1] is not None
    assert judged[1].slope == pytest.approx(6)


def test_unexpected_errors_are_found_in_the_logs(tmp_path: Path) -> None:
    log = tmp_path / "replica.log"
    log.write_text(
        '{"event": "drain_started", "level": "info"}\n'
        '{"event": "unhandled", "level": "error", "where": "task", "exception": "KeyError"}\n'
        "error: REDIS_URL: cannot reach the server\n"
        "Fatal Python error: Aborted\n"
    )
    logged = read_logs([log, tmp_path / "absent.log"])
    assert logged.events == {"info drain_started": 1, "error unhandled": 1}
    assert list(logged.errors) == ["task\nKeyError", "Fatal Python error: Aborted"]


def test_documents_are_compared_with_what_they_were_made_of(shared_data: Path) -> None:
    documents = Documents()
    made = documents.make(0, "019d1000-0000-8000-8000-000000000001")
    assert documents.inspect(made, 0) == Copy(frozenset(), changed=False, intact=True)
    other = json.loads(made)
    other["dialog"] = []
    other["attachments"].append({"purpose": "tags", "body": ["chain:first"], "encoding": "json"})
    expected = Copy(frozenset({"first"}), changed=False, intact=False)
    assert documents.inspect(json.dumps(other).encode(), 0) == expected
