"""A forwarder as sites run it: a folder of files, each deleted once the server has it.

2xx: delete. 422: move to `rejected`, nobody will ever take it. 403 and 404: keep, somebody has to
mend a key or a configuration. 5xx, 429 and no answer: keep, and try again.
"""

import time
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT = 30.0


class Forwarder:
    """Its folder, and what its last round met: statuses by file, 0 for no answer."""

    def __init__(self, folder: Path, url: str, key: str, ingress_list: str) -> None:
        self.folder = folder
        self.rejected = folder / "rejected"
        self.rejected.mkdir(parents=True, exist_ok=True)
        self.url = url
        self.key = key
        self.ingress_list = ingress_list
        self.met: dict[str, int] = {}

    @property
    def waiting(self) -> set[str]:
        """The files that are not over and done with."""
        return {file.name for file in self.folder.glob("*.vcon.json")}

    def sweep(self) -> None:
        """Try every file once."""
        self.met = {}
        for file in sorted(self.folder.glob("*.vcon.json")):
            status = self.met[file.name] = self._post(file.read_bytes())
            if 200 <= status < 300:
                file.unlink()
            elif status == 422:
                file.rename(self.rejected / file.name)

    def sweep_until_empty(self, seconds: float = 60) -> None:
        """Try until nothing waits. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.waiting)} files are stuck: {set(self.met.values())}")
            self.sweep()

    def _post(self, body: bytes) -> int:
        request = urllib.request.Request(  # the URL is the test's own
            f"{self.url}/api/vcon?ingress_lists={self.ingress_list}",
            data=body,
            headers={"Content-Type": "application/json", "x-conserver-api-token": self.key},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
                reply.read()
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0
