import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

from typing_extensions import Self

from . import client
from .kernels import Msg, _Data, _Headers, _Text
from .state import Subscription

_T = TypeVar("_T")

class _Queued:
    def __bool__(self) -> bool: ...
    def __await__(self) -> Any: ...

class _Msg(Msg):
    nc: Client
    def respond(  # type: ignore[override]
        self, payload: _Data = b"", headers: _Headers | None = None, n: int = -1
    ) -> _Queued: ...

class Client(client.Client):
    turned: asyncio.Event
    def __init__(self, servers: str | list[str] | tuple[str, ...], **options: Any) -> None: ...
    def connect(self, timeout_ms: int | None = None, wait: bool = True) -> Awaitable[None]: ...  # type: ignore[override]
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...
    def close(self) -> Awaitable[None]: ...  # type: ignore[override]
    def publish(  # type: ignore[override]
        self,
        subject: _Text,
        payload: _Data = b"",
        reply: _Text | None = None,
        headers: _Headers | None = None,
        n: int = -1,
    ) -> _Queued: ...
    def flush(self, timeout_ms: int = 2000) -> Awaitable[bool]: ...  # type: ignore[override]
    def drain(self, timeout_ms: int = 5000) -> Awaitable[bool]: ...  # type: ignore[override]
    @overload  # type: ignore[override]
    def subscribe(
        self,
        subject: _Text,
        handler: None = None,
        queue: _Text | None = None,
        max_msgs: int = 0,
        chunked: bool = False,
        size: int = 16,
    ) -> Each[_Msg]: ...
    @overload
    def subscribe(
        self,
        subject: _Text,
        handler: Callable[[_Msg], object],
        queue: _Text | None = None,
        max_msgs: int = 0,
        chunked: bool = False,
        size: int = 16,
    ) -> Subscription: ...
    @overload  # type: ignore[override]
    def request(
        self,
        subject: _Text,
        payload: _Data = b"",
        timeout_ms: int = 2000,
        headers: _Headers | None = None,
        handler: None = None,
        max_msgs: int = 1,
    ) -> Awaitable[Msg]: ...
    @overload
    def request(
        self,
        subject: _Text,
        payload: _Data = b"",
        timeout_ms: int = 2000,
        headers: _Headers | None = None,
        *,
        handler: Callable[[Msg | None], object],
        max_msgs: int = 1,
    ) -> bool: ...
    def each(self, start: Callable[[Callable[[_T], object]], Any], size: int = 16) -> Each[_T]: ...

class Each(Generic[_T]):
    dropped: int
    def stop(self) -> None: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> _T: ...
    def __getattr__(self, name: str) -> Any: ...
