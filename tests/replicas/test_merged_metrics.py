"""The metrics of several processes as one text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from vconflow.replicas.metrics import merged


def text_of(number: int) -> bytes:
    registry = CollectorRegistry()
    accepted = Counter("vconflow_accepted_total", "vCons.", ["list"], registry=registry)
    accepted.labels('a "{b} \\ list').inc(number)
    Gauge("vconflow_serial", "A plain one.", registry=registry).set(number)
    Histogram("vconflow_seconds", "Time.", buckets=(1.0,), registry=registry).observe(number)
    if number > 1:
        Gauge("vconflow_rare", "Only some have it.", registry=registry).set(number)
    return generate_latest(registry)


def test_each_sample_says_whose_it_is_and_each_family_is_there_once() -> None:
    text = merged({"one.1": text_of(1), 'odd"name\\': text_of(2)}).decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    found = {
        (sample.name, sample.labels.pop("replica"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    odd = 'odd"name\\'
    label = 'a "{b} \\ list'
    assert found["vconflow_accepted_total", "one.1", label] == 1
    assert found["vconflow_accepted_total", odd, label] == 2
    assert found["vconflow_serial", "one.1"] == 1
    assert found["vconflow_serial", odd] == 2
    assert found["vconflow_seconds_bucket", "one.1", "1.0"] == 1
    assert found["vconflow_seconds_bucket", odd, "1.0"] == 0
    assert ("vconflow_rare", odd) in found
    assert ("vconflow_rare", "one.1") not in found


def test_families_keep_their_type_and_help() -> None:
    before = {family.name: family for family in text_string_to_metric_families(text_of(2).decode())}
    after = text_string_to_metric_families(merged({"x": text_of(2), "y": text_of(1)}).decode())
    for family in after:
        assert family.type == before[family.name].type
        assert family.documentation == before[family.name].documentation


def test_of_nobody_there_is_nothing() -> None:
    assert merged({}) == b"\n"
