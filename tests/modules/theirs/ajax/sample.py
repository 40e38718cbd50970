"""The spelling that external packages use, options that may be None, and an object of its own."""

from server.lib.logging_utils import init_logger
from server.lib.vcon_redis import VconRedis
from server.vcon import Vcon
from vcon import Vcon as TheSame

logger = init_logger(__name__)

default_options = {"custom_data": {"grüße": "日本 👋"}, "attachment_type": "sample_data"}


def run(vcon_uuid, link_name, opts=None):
    if opts is None:
        opts = default_options
    assert Vcon is TheSame
    vcon = VconRedis().get_vcon(vcon_uuid)
    assert isinstance(vcon, Vcon)
    vcon.add_attachment(body=opts["custom_data"], type=opts["attachment_type"], encoding="none")
    vcon.add_analysis(
        type="summary",
        dialog=0,
        vendor="ajax",
        body="kurz & gut",
        extra={"vendor_schema": {"prompt": "?"}},
    )
    VconRedis().store_vcon(vcon)
    return vcon_uuid
