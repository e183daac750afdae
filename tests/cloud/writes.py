"""What functions write into tables, and what that costs: counted on the way, for the stand-in bills nothing.

A function is pointed here by AWS_ENDPOINT_URL_DYNAMODB; all it says is handed on to the stand-in.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request

from .inbox import Server
from .standin import Standin

# on-demand capacity: "One write request unit represents one write for an item up to 1 KB in size".
UNIT_BYTES = 1024


class Writes(Server):
    def __init__(self, standin: Standin):
        # The sizes of the items put by BatchWriteItem, by table.
        self.sizes: dict[str, list[int]] = {}
        self._lock = threading.Lock()
        self._url = standin.url
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        super().__init__(self._answer)

    def units(self, table: str) -> int:
        return sum(-(-size // UNIT_BYTES) for size in self.sizes[table])

    def _answer(self, body: bytes, headers) -> tuple[int, str, bytes]:
        if headers["X-Amz-Target"].endswith(".BatchWriteItem"):
            with self._lock:
                for table, requests in json.loads(body)["RequestItems"].items():
                    self.sizes.setdefault(table, []).extend(item_size(one["PutRequest"]["Item"]) for one in requests)
        passed = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self._url, body, passed)
        try:
            with self._direct.open(request) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read()


def item_size(item: dict) -> int:
    """CapacityUnitCalculations of docs.aws.amazon.com/amazondynamodb/latest/developerguide/: names and values."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: dict) -> int:
    (kind, content), = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            # "approximately ... 1 byte per two significant digits, + 1 byte", and one more below zero.
            digits = content.lstrip("-").partition("e")[0].replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + content.startswith("-")
        case "B":
            return len(base64.b64decode(content))
        case "NULL" | "BOOL":
            return 1
        case "L":
            return 3 + sum(1 + value_size(one) for one in content)
        case "M":
            return 3 + len(content) + item_size(content)
    raise ValueError(f"no rule for the size of {kind}")
