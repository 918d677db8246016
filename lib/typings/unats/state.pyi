from collections.abc import Callable
from typing import Any

from .client import Client
from .errors import ServerError
from .kernels import Msg

class Server:
    host: str
    port: int
    tls: bool
    tls_name: str | None

class Info:
    name: str
    version: str
    nonce: str
    max_payload: int
    client_id: int
    headers: bool
    jetstream: bool
    ldm: bool
    tls_required: bool
    tls_available: bool
    connect_urls: Any
    def __getitem__(self, name: str) -> Any: ...

class Subscription:
    nc: Client
    sid: int
    subject: str
    queue: str | None
    handler: Callable[[Msg], object] | None
    max_msgs: int
    chunked: bool
    received: int
    dropped: int
    error: ServerError | None
    def unsubscribe(self, max_msgs: int = 0) -> None: ...
