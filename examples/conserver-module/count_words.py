"""A link as it is written for the vCon conserver; vconflow runs it as it is.

`lib` is the conserver's own package. Nobody has to install it: vconflow serves what modules import
of it (docs/third-party.md).
"""

from lib.logging_utils import init_logger
from lib.metrics import increment_counter
from lib.vcon_redis import VconRedis

logger = init_logger(__name__)

default_options = {"tag": "words", "least": 0}


def run(vcon_uuid, link_name, opts=default_options):
    """Tag the vCon with how many words its texts have; halt when there are less than `least`."""
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    texts = [dialog.get("body", "") for dialog in vcon.dialog if dialog.get("type") == "text"]
    words = sum(len(text.split()) for text in texts)
    if words < opts["least"]:
        return None
    vcon.add_tag(opts["tag"], str(words))
    vcon_redis.store_vcon(vcon)
    increment_counter("count_words.vcons")
    logger.debug("%s: %d words", link_name, words)
    return vcon_uuid
