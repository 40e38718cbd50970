default_options = ["no", "dict"]


def run(vcon_uuid, link_name, opts):
    return vcon_uuid


def save(vcon_uuid, opts):
    pass
