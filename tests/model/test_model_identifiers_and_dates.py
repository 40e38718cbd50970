import hashlib
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vconflow.model import identifiers
from vconflow.model.dates import instant, rfc3339
from vconflow.model.identifiers import canonical_uuid, new_uuid, uuid_time


@given(st.uuids())
def test_canonical_uuid(value: uuid.UUID) -> None:
    for text in (str(value), str(value).upper(), value.urn, value.hex, value.urn.upper()):
        assert canonical_uuid(text) == str(value)


@pytest.mark.parametrize("text", ["", "x", "1-2-3-4-5", "{" + str(uuid.UUID(int=0)) + "}", "0" * 31,
                                  str(uuid.UUID(int=0)) + "\n", "\uff10" * 32])  # fmt: skip
def test_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a UUID$"):
        canonical_uuid(text)


def test_new_uuid_has_the_layout_of_the_draft() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_uuid("example.com"))
    assert made.version == 8
    assert made.variant == uuid.RFC_4122
    digest = int.from_bytes(hashlib.sha1(b"example.com").digest(), "big")
    assert made.int & ((1 << 62) - 1) == digest >> (160 - 62)
    assert before <= made.int >> 80 <= before + 10_000
    carried = uuid_time(str(made))
    assert carried is not None
    assert abs(carried - time.time()) < 10


def test_new_uuids_grow() -> None:
    made = [new_uuid() for _ in range(20_000)]
    assert made == sorted(set(made))


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=50))
def test_new_uuids_grow_whatever_the_clock_does(times: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = iter(times)
        patch.setattr(identifiers, "_clock", identifiers._Clock())
        patch.setattr(time, "time_ns", lambda: next(clock) * 1_000_000)
        made = [new_uuid() for _ in times]
    assert made == sorted(set(made))


def test_only_versions_7_and_8_of_this_century_carry_a_time() -> None:
    assert uuid_time("6ba7b810-9dad-41d1-80b4-00c04fd430c8") is None
    assert uuid_time("ffffffff-ffff-8000-8000-000000000000") is None
    assert uuid_time("018e2d4a-6c7d-7a1b-9c3d-0123456789ab") == 0x018E2D4A6C7D / 1000


MARCH = 1710149400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-03-11T09:30:00Z", MARCH),
        ("2024-03-11t09:30:00z", MARCH),
        ("2024-03-11 09:30:00+00:00", MARCH),
        ("2024-03-11T09:30:00", MARCH),
        ("2024-03-11T04:30:00-05:00", MARCH),
        ("2024-03-11T09:30:00.123456789Z", MARCH + 0.123456),
        ("2024-03-11T09:30:00.5", MARCH + 0.5),
        (" 2024-03-11T09:30:00Z ", MARCH),
        ("Mon, 11 Mar 2024 09:30:00 GMT", MARCH),
        ("Mon, 11 Mar 2024 10:30:00 +0100", MARCH),
        ("11 Mar 2024 09:30:00 -0000", MARCH),
        ("2016-12-31T23:59:60Z", 1483228799.0),
        ("2024-03-11", 1710115200.0),
        ("0001-01-01T00:00:00+14:00", -62135647200.0),
    ],
)
def test_instant(text: str, seconds: float) -> None:
    assert instant(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("text", ["", "soon", "2024-13-01T00:00:00Z", "2024-03-11T25:00:00Z", "\0",
                                  "99999-01-01", "Mon, 99 Mar 2024 09:30:00 GMT"])  # fmt: skip
def test_no_date(text: str) -> None:
    with pytest.raises(ValueError, match="date") as caught:
        instant(text)
    assert not text or text not in str(caught.value)


@given(st.text())
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(instant(text), float)


# A day's room at both ends: an offset must not lead out of the calendar.
EARLIEST, LATEST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  # naive on purpose


@given(st.datetimes(EARLIEST, LATEST), st.integers(-23, 23))
def test_dates_written_are_read_back(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert rfc3339(moment).endswith("+00:00")
    assert instant(rfc3339(moment)) == instant(moment.isoformat()) == moment.timestamp()
    assert datetime.fromisoformat(rfc3339(moment)) == moment.astimezone(UTC)
