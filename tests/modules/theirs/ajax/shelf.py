"""A storage: one file a vCon."""

import json
import time
from pathlib import Path

from lib.logging_utils import init_logger
from lib.vcon_redis import VconRedis

logger = init_logger(__name__)
default_options = {"path": ".", "refuse": "", "seconds": 0, "change": False}


def save(vcon_uuid, opts):
    time.sleep(opts["seconds"])
    vcon = VconRedis().get_vcon(vcon_uuid)
    if opts["refuse"] and opts["refuse"] in vcon.to_json():
        raise ConnectionError("the shelf is full")
    if opts["change"]:
        VconRedis().store_vcon(vcon)
    Path(opts["path"], f"{vcon_uuid}.json").write_text(vcon.to_json())


def get(vcon_uuid, opts):
    file = Path(opts["path"], f"{vcon_uuid}.json")
    return json.loads(file.read_text()) if file.exists() else None


def delete(vcon_uuid, opts):
    file = Path(opts["path"], f"{vcon_uuid}.json")
    if not file.exists():
        return False
    file.unlink()
    return True
