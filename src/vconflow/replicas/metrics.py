"""The metrics of several processes as one Prometheus text."""

from collections.abc import Mapping

__all__ = ["merged"]


def merged(texts: Mapping[str, bytes]) -> bytes:
    """One text of those of several processes, each sample with the label `replica`, their name."""
    heads: dict[bytes, dict[bytes, bytes]] = {}
    samples: dict[bytes, list[bytes]] = {}
    for name, text in texts.items():
        label = b'replica="%s"' % _escaped(name)
        family = b""
        for line in text.splitlines():
            if line.startswith(b"# "):
                _, kind, family, *_ = line.split(b" ", 3)
                heads.setdefault(family, {}).setdefault(kind, line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, label))
    lines: list[bytes] = []
    for family, head in heads.items():
        lines += head.values()
        lines += samples.get(family, ())
    return b"\n".join(lines) + b"\n"


def _labelled(sample: bytes, label: bytes) -> bytes:
    # A metric's name has neither; the values of its labels may have both.
    name, brace, rest = sample.partition(b"{")
    if brace and b" " not in name:
        return b"%s{%s,%s" % (name, label, rest)
    name, _, rest = sample.partition(b" ")
    return b"%s{%s} %s" % (name, label, rest)


def _escaped(name: str) -> bytes:
    text = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return text.encode()
