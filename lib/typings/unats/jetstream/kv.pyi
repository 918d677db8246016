# Of a client under asyncio what waits is to be awaited: these come first.
# mypy: disable-error-code="overload-overlap"

from collections.abc import Awaitable, Callable
from typing import Any, Generic, overload

from unats import aio
from unats.kernels import _Data

from . import _C, JetStream, JetStreamError, _Handler
from .watching import Watching

class WrongRevision(JetStreamError): ...

class Entry:
    key: str
    value: bytes
    revision: int
    operation: str

class KeyValue(Generic[_C]):
    bucket: str
    js: JetStream[_C]
    def __init__(
        self, nc: _C, bucket: str, domain: str | None = None, timeout_ms: int = 5000
    ) -> None: ...
    @overload
    def create_bucket(
        self: KeyValue[aio.Client],
        history: int = 1,
        ttl_s: int = 0,
        max_bytes: int = -1,
        storage: str = "file",
        replicas: int = 1,
        marker_ttl_s: int = 0,
        handler: None = None,
    ) -> Awaitable[dict[str, Any]]: ...
    @overload
    def create_bucket(
        self,
        history: int = 1,
        ttl_s: int = 0,
        max_bytes: int = -1,
        storage: str = "file",
        replicas: int = 1,
        marker_ttl_s: int = 0,
        handler: None = None,
    ) -> dict[str, Any]: ...
    @overload
    def create_bucket(
        self,
        history: int = 1,
        ttl_s: int = 0,
        max_bytes: int = -1,
        storage: str = "file",
        replicas: int = 1,
        marker_ttl_s: int = 0,
        *,
        handler: _Handler[dict[str, Any]],
    ) -> bool: ...
    @overload
    def status(self: KeyValue[aio.Client], handler: None = None) -> Awaitable[dict[str, Any]]: ...
    @overload
    def status(self, handler: None = None) -> dict[str, Any]: ...
    @overload
    def status(self, handler: _Handler[dict[str, Any]]) -> bool: ...
    @overload
    def get(
        self: KeyValue[aio.Client], key: str, handler: None = None
    ) -> Awaitable[Entry | None]: ...
    @overload
    def get(self, key: str, handler: None = None) -> Entry | None: ...
    @overload
    def get(self, key: str, handler: _Handler[Entry | None]) -> bool: ...
    @overload
    def get_into(
        self: KeyValue[aio.Client], key: str, buf: bytearray | memoryview, handler: None = None
    ) -> Awaitable[int | None]: ...
    @overload
    def get_into(
        self, key: str, buf: bytearray | memoryview, handler: None = None
    ) -> int | None: ...
    @overload
    def get_into(
        self, key: str, buf: bytearray | memoryview, handler: _Handler[int | None]
    ) -> bool: ...
    @overload
    def put(
        self: KeyValue[aio.Client], key: str, value: _Data, handler: None = None
    ) -> Awaitable[int]: ...
    @overload
    def put(self, key: str, value: _Data, handler: None = None) -> int: ...
    @overload
    def put(self, key: str, value: _Data, handler: _Handler[int]) -> bool: ...
    @overload
    def create(
        self: KeyValue[aio.Client],
        key: str,
        value: _Data,
        ttl_s: int | None = None,
        handler: None = None,
    ) -> Awaitable[int]: ...
    @overload
    def create(
        self, key: str, value: _Data, ttl_s: int | None = None, handler: None = None
    ) -> int: ...
    @overload
    def create(
        self, key: str, value: _Data, ttl_s: int | None = None, *, handler: _Handler[int]
    ) -> bool: ...
    @overload
    def update(
        self: KeyValue[aio.Client], key: str, value: _Data, revision: int, handler: None = None
    ) -> Awaitable[int]: ...
    @overload
    def update(self, key: str, value: _Data, revision: int, handler: None = None) -> int: ...
    @overload
    def update(self, key: str, value: _Data, revision: int, handler: _Handler[int]) -> bool: ...
    @overload
    def delete(
        self: KeyValue[aio.Client], key: str, revision: int | None = None, handler: None = None
    ) -> Awaitable[int]: ...
    @overload
    def delete(self, key: str, revision: int | None = None, handler: None = None) -> int: ...
    @overload
    def delete(self, key: str, revision: int | None = None, *, handler: _Handler[int]) -> bool: ...
    @overload
    def purge(
        self: KeyValue[aio.Client], key: str, revision: int | None = None, handler: None = None
    ) -> Awaitable[int]: ...
    @overload
    def purge(self, key: str, revision: int | None = None, handler: None = None) -> int: ...
    @overload
    def purge(self, key: str, revision: int | None = None, *, handler: _Handler[int]) -> bool: ...
    @overload
    def keys(
        self: KeyValue[aio.Client], pattern: str = ">", handler: None = None
    ) -> Awaitable[list[str]]: ...
    @overload
    def keys(self, pattern: str = ">", handler: None = None) -> list[str]: ...
    @overload
    def keys(self, pattern: str = ">", *, handler: _Handler[list[str]]) -> bool: ...
    @overload
    def history(
        self: KeyValue[aio.Client], key: str, handler: None = None
    ) -> Awaitable[list[Entry]]: ...
    @overload
    def history(self, key: str, handler: None = None) -> list[Entry]: ...
    @overload
    def history(self, key: str, handler: _Handler[list[Entry]]) -> bool: ...
    @overload
    def watch(
        self: KeyValue[aio.Client],
        pattern: str,
        handler: None = None,
        history: bool = False,
        updates_only: bool = False,
        ignore_deletes: bool = False,
    ) -> aio.Each[Entry | None]: ...
    @overload
    def watch(
        self,
        pattern: str,
        handler: Callable[[Entry | None], object],
        history: bool = False,
        updates_only: bool = False,
        ignore_deletes: bool = False,
    ) -> Watching: ...
