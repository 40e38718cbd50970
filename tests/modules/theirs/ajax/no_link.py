"""Neither a link nor a storage."""

default_options = ["no", "dict"]


def run(vcon_uuid):
    return vcon_uuid
