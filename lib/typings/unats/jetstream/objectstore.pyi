# Of a client under asyncio what waits is to be awaited: these come first.
# mypy: disable-error-code="overload-overlap"

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, overload

from typing_extensions import TypeAlias

from unats import aio

from . import _C, JetStream, _Handler
from .watching import Watching

class ObjectInfo:
    name: str
    nuid: str
    digest: str
    size: int
    chunks: int
    description: str
    deleted: bool
    metadata: dict[str, str]
    link: tuple[str, str | None] | None

_List: TypeAlias = list[ObjectInfo]  # (`list` is a method below)

class ObjectStore(Generic[_C]):
    bucket: str
    js: JetStream[_C]
    def __init__(
        self, nc: _C, bucket: str, domain: str | None = None, timeout_ms: int = 5000
    ) -> None: ...
    @overload
    def create_bucket(
        self: ObjectStore[aio.Client],
        ttl_s: int = 0,
        max_bytes: int = -1,
        storage: str = "file",
        replicas: int = 1,
        handler: None = None,
    ) -> Awaitable[dict[str, Any]]: ...
    @overload
    def create_bucket(
        self,
        ttl_s: int = 0,
        max_bytes: int = -1,
        storage: str = "file",
        replicas: int = 1,
        handler: None = None,
    ) -> dict[str, Any]: ...
    @overload
    def create_bucket(
        self,
        ttl_s: int = 0,
        max_bytes: int = -1,
        storage: str = "file",
        replicas: int = 1,
        *,
        handler: _Handler[dict[str, Any]],
    ) -> bool: ...
    @overload
    def status(
        self: ObjectStore[aio.Client], handler: None = None
    ) -> Awaitable[dict[str, Any]]: ...
    @overload
    def status(self, handler: None = None) -> dict[str, Any]: ...
    @overload
    def status(self, handler: _Handler[dict[str, Any]]) -> bool: ...
    @overload
    def info(
        self: ObjectStore[aio.Client], name: str, handler: None = None
    ) -> Awaitable[ObjectInfo | None]: ...
    @overload
    def info(self, name: str, handler: None = None) -> ObjectInfo | None: ...
    @overload
    def info(self, name: str, handler: _Handler[ObjectInfo | None]) -> bool: ...
    @overload
    def list(self: ObjectStore[aio.Client], handler: None = None) -> Awaitable[_List]: ...
    @overload
    def list(self, handler: None = None) -> _List: ...
    @overload
    def list(self, handler: _Handler[_List]) -> bool: ...
    @overload
    def get(
        self: ObjectStore[aio.Client],
        name: str,
        write: Callable[[memoryview], object],
        offset: int = 0,
        progress: Callable[[int, int], object] | None = None,
        handler: None = None,
    ) -> Awaitable[ObjectInfo]: ...
    @overload
    def get(
        self,
        name: str,
        write: Callable[[memoryview], object],
        offset: int = 0,
        progress: Callable[[int, int], object] | None = None,
        handler: None = None,
    ) -> ObjectInfo: ...
    @overload
    def get(
        self,
        name: str,
        write: Callable[[memoryview], object],
        offset: int = 0,
        progress: Callable[[int, int], object] | None = None,
        *,
        handler: _Handler[ObjectInfo],
    ) -> bool: ...
    @overload
    def get_file(
        self: ObjectStore[aio.Client],
        name: str,
        path: str,
        progress: Callable[[int, int], object] | None = None,
        handler: None = None,
    ) -> Awaitable[ObjectInfo]: ...
    @overload
    def get_file(
        self,
        name: str,
        path: str,
        progress: Callable[[int, int], object] | None = None,
        handler: None = None,
    ) -> ObjectInfo: ...
    @overload
    def get_file(
        self,
        name: str,
        path: str,
        progress: Callable[[int, int], object] | None = None,
        *,
        handler: _Handler[ObjectInfo],
    ) -> bool: ...
    @overload
    def put(
        self: ObjectStore[aio.Client],
        name: str,
        source: Any,
        chunk_size: int = 4096,
        metadata: Mapping[str, str] | None = None,
        handler: None = None,
    ) -> Awaitable[ObjectInfo]: ...
    @overload
    def put(
        self,
        name: str,
        source: Any,
        chunk_size: int = 4096,
        metadata: Mapping[str, str] | None = None,
        handler: None = None,
    ) -> ObjectInfo: ...
    @overload
    def put(
        self,
        name: str,
        source: Any,
        chunk_size: int = 4096,
        metadata: Mapping[str, str] | None = None,
        *,
        handler: _Handler[ObjectInfo],
    ) -> bool: ...
    @overload
    def delete(
        self: ObjectStore[aio.Client], name: str, handler: None = None
    ) -> Awaitable[bool]: ...
    @overload
    def delete(self, name: str, handler: None = None) -> bool: ...
    @overload
    def delete(self, name: str, handler: _Handler[bool]) -> bool: ...
    @overload
    def watch(
        self: ObjectStore[aio.Client],
        handler: None = None,
        updates_only: bool = False,
        ignore_deletes: bool = False,
        timeout_ms: int | None = None,
    ) -> aio.Each[ObjectInfo | None]: ...
    @overload
    def watch(
        self,
        handler: Callable[[ObjectInfo | None], object],
        updates_only: bool = False,
        ignore_deletes: bool = False,
        timeout_ms: int | None = None,
    ) -> Watching: ...
