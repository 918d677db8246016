from collections.abc import Callable, Mapping
from typing import Any

from .client import Client
from .kernels import Msg

class ServiceError(Exception):
    code: int
    text: str
    def __init__(self, code: int, text: str) -> None: ...

class Group:
    def group(self, prefix: str, queue: str | None = None) -> Group: ...
    def endpoint(
        self,
        name: str,
        handler: Callable[[Msg], object],
        subject: str | None = None,
        queue: str | None = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Endpoint: ...

class Service(Group):
    nc: Client
    id: str
    endpoints: list[Endpoint]
    stopped: bool
    def __init__(
        self,
        nc: Client,
        name: str,
        version: str,
        description: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None: ...
    def reset(self) -> None: ...
    def stop(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...

class Endpoint:
    name: str
    subject: str
    queue: str | None
    metadata: Mapping[str, str] | None
    requests: int
    errors: int
    time_us: int
    last_error: str
    def reset(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...
