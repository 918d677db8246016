from typing import Any

from unats.client import Client

from . import Outbox

class Pipelined:
    def __init__(self, nc: Client, outbox: Outbox[Any], size: int = 1024) -> None: ...
