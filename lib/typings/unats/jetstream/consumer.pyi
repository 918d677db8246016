# Of a client under asyncio what waits is to be awaited: these come first.
# mypy: disable-error-code="overload-overlap"

from collections.abc import Awaitable, Callable
from typing import Any, Generic, overload

from unats import aio
from unats.kernels import Msg

from . import _C, _Handler

class Consumer(Generic[_C]):
    stream: str
    name: str
    info: dict[str, Any]
    @overload
    def fetch(
        self: Consumer[aio.Client],
        n: int,
        handler: Callable[[Msg], object],
        timeout_ms: int = 5000,
        done: None = None,
        max_bytes: int | None = None,
        chunked: bool = False,
    ) -> Awaitable[int]: ...
    @overload
    def fetch(
        self,
        n: int,
        handler: Callable[[Msg], object],
        timeout_ms: int = 5000,
        done: None = None,
        max_bytes: int | None = None,
        chunked: bool = False,
    ) -> int: ...
    @overload
    def fetch(
        self,
        n: int,
        handler: Callable[[Msg], object],
        timeout_ms: int = 5000,
        *,
        done: _Handler[int],
        max_bytes: int | None = None,
        chunked: bool = False,
    ) -> bool: ...
    def consume(
        self,
        handler: Callable[[Msg | None], object],
        window: int = 8,
        max_bytes: int | None = None,
        chunked: bool = False,
    ) -> Pull: ...
    @overload
    def delete(self: Consumer[aio.Client], handler: None = None) -> Awaitable[bool]: ...
    @overload
    def delete(self, handler: None = None) -> bool: ...
    @overload
    def delete(self, handler: _Handler[bool]) -> bool: ...

class Pull:
    came: int
    error: Exception | None
    def stop(self) -> None: ...
