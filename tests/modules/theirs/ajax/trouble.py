"""Whatever a link can do wrong, by option."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from lib.vcon_redis import VconRedis

default_options = {"how": "", "calls": "", "seconds": 3600, "unless": ""}
RELEASE = threading.Event()
AFTERWARDS = []


def run(vcon_uuid, link_name, opts=default_options):
    if opts["calls"]:
        with Path(opts["calls"]).open("a") as calls:
            calls.write(f"{vcon_uuid}\n")
    vcon = VconRedis().get_vcon(vcon_uuid)
    if not vcon.get_tag("begun"):
        vcon.add_tag("begun", "x")
        VconRedis().store_vcon(vcon)
    if not (opts["unless"] and Path(opts["unless"]).exists()):
        HOW[opts["how"]](vcon, opts)
    vcon = VconRedis().get_vcon(vcon_uuid)
    vcon.add_tag("ended", "x")
    VconRedis().store_vcon(vcon)
    return vcon_uuid


def hang(vcon, opts):
    RELEASE.wait(opts["seconds"])
    vcon.add_tag("late", "x")
    try:
        VconRedis().store_vcon(vcon)
    except Exception as error:
        AFTERWARDS.append(error)
        raise


def fail(vcon, opts):
    raise ValueError("no such luck: ä")


def tell(vcon, opts):
    login = opts["login"]
    try:
        raise KeyError(f"no {login['password']}")
    except KeyError as error:
        told = ValueError(f"401 for {opts['model']} at https://h/?key={quote(login['api_key'][0])}")
        told.add_note(f"was {login['api_key'][0]}")
        raise told from error


def leave(vcon, opts):
    sys.exit(3)


def stop_iteration(vcon, opts):
    next(iter(()))


def nonsense(vcon, opts):
    vcon.add_analysis(type="x", dialog=99, vendor="ajax", body="")
    VconRedis().store_vcon(vcon)


def kill(vcon, opts):
    if opts["unless"]:
        Path(opts["unless"]).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(vcon, opts):
    time.sleep(opts["seconds"])


HOW = {
    "hang": hang,
    "fail": fail,
    "tell": tell,
    "exit": leave,
    "stop_iteration": stop_iteration,
    "nonsense": nonsense,
    "kill": kill,
    "sleep": sleep,
    "": lambda vcon, opts: None,
}
