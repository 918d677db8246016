# Of a client under asyncio what waits is to be awaited: these come first.
# mypy: disable-error-code="overload-overlap"

from collections.abc import Awaitable
from typing import Generic, Literal, TypeVar, overload

from unats import aio
from unats.client import Client
from unats.kernels import _Data, _Text

from .spool import Stats

_C = TypeVar("_C", bound=Client)

class Outbox(Generic[_C]):
    acknowledged: bool
    policy: Literal["oldest", "newest", "refuse"]
    stats: Stats
    @property
    def last_error(self) -> Exception | None: ...
    def __init__(
        self,
        nc: _C,
        device: str,
        *,
        ring: bytearray | None = None,
        path: str | None = None,
        flash_size: int = 65536,
        policy: Literal["oldest", "newest", "refuse"] = "oldest",
        ack: Literal["stream", "none"] = "stream",
        window: int = 8,
        max_payload: int = 256,
        ack_ms: int = 5000,
        sync_ms: int | None = None,
        duplicate_window_ms: int = 120000,
        domain: str | None = None,
        stream: str | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    def put(self, subject: _Text, payload: _Data = b"") -> bool: ...
    def sync(self) -> bool: ...
    def poll(self) -> None: ...
    @overload
    def flush(self: Outbox[aio.Client], timeout_ms: int = 5000) -> Awaitable[bool]: ...
    @overload
    def flush(self, timeout_ms: int = 5000) -> bool: ...
    def close(self) -> None: ...
