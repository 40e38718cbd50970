"""Prints when it is imported."""

print("vconflow ready on nothing")  # noqa: T201


def run(vcon_uuid, link_name, opts):
    return vcon_uuid
