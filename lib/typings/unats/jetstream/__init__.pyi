# Of a client under asyncio what waits is to be awaited: these come first.
# mypy: disable-error-code="overload-overlap"

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar, overload

from typing_extensions import TypeAlias

from unats import aio
from unats.client import Client
from unats.errors import Error
from unats.kernels import Msg, _Data, _Text

from .consumer import Consumer
from .ordered import Ordered
from .stored import Stored

_C = TypeVar("_C", bound=Client)
_R = TypeVar("_R")
_Buffer: TypeAlias = bytearray | memoryview
_Handler: TypeAlias = Callable[[_R | None, Exception | None], object]

NO_STREAM: int

class JetStreamError(Error):
    code: int
    err_code: int
    description: str
    def __init__(self, error: Any) -> None: ...

class PubAck:
    stream: str
    seq: int
    duplicate: bool
    domain: str | None

class JetStream(Generic[_C]):
    nc: _C
    timeout_ms: int
    prefix: str
    def __init__(self, nc: _C, domain: str | None = None, timeout_ms: int = 5000) -> None: ...
    @overload
    def publish(
        self: JetStream[aio.Client],
        subject: _Text,
        payload: _Data = b"",
        msg_id: str | None = None,
        handler: None = None,
        timeout_ms: int | None = None,
        headers: dict[str, Any] | None = None,
        *,
        expect_last_seq: int | None = None,
        expect_last_subject_seq: int | None = None,
        expect_stream: str | None = None,
        ttl_s: int | None = None,
    ) -> Awaitable[PubAck]: ...
    @overload
    def publish(
        self,
        subject: _Text,
        payload: _Data = b"",
        msg_id: str | None = None,
        handler: None = None,
        timeout_ms: int | None = None,
        headers: dict[str, Any] | None = None,
        *,
        expect_last_seq: int | None = None,
        expect_last_subject_seq: int | None = None,
        expect_stream: str | None = None,
        ttl_s: int | None = None,
    ) -> PubAck: ...
    @overload
    def publish(
        self,
        subject: _Text,
        payload: _Data = b"",
        msg_id: str | None = None,
        *,
        handler: _Handler[PubAck],
        timeout_ms: int | None = None,
        headers: dict[str, Any] | None = None,
        expect_last_seq: int | None = None,
        expect_last_subject_seq: int | None = None,
        expect_stream: str | None = None,
        ttl_s: int | None = None,
    ) -> bool: ...
    @overload
    def call(
        self: JetStream[aio.Client],
        name: str,
        body: Any = None,
        handler: None = None,
        timeout_ms: int | None = None,
    ) -> Awaitable[dict[str, Any]]: ...
    @overload
    def call(
        self, name: str, body: Any = None, handler: None = None, timeout_ms: int | None = None
    ) -> dict[str, Any]: ...
    @overload
    def call(
        self,
        name: str,
        body: Any = None,
        *,
        handler: _Handler[dict[str, Any]],
        timeout_ms: int | None = None,
    ) -> bool: ...
    @overload
    def ensure_stream(
        js: JetStream[aio.Client],
        name: str,
        subjects: list[str],
        handler: None = None,
        **config: Any,
    ) -> Awaitable[dict[str, Any]]: ...
    @overload
    def ensure_stream(
        js, name: str, subjects: list[str], handler: None = None, **config: Any
    ) -> dict[str, Any]: ...
    @overload
    def ensure_stream(
        js, name: str, subjects: list[str], handler: _Handler[dict[str, Any]], **config: Any
    ) -> bool: ...
    @overload
    def stream_info(
        js: JetStream[aio.Client], name: str, handler: None = None
    ) -> Awaitable[dict[str, Any]]: ...
    @overload
    def stream_info(js, name: str, handler: None = None) -> dict[str, Any]: ...
    @overload
    def stream_info(js, name: str, handler: _Handler[dict[str, Any]]) -> bool: ...
    @overload
    def delete_stream(
        js: JetStream[aio.Client], name: str, handler: None = None
    ) -> Awaitable[bool]: ...
    @overload
    def delete_stream(js, name: str, handler: None = None) -> bool: ...
    @overload
    def delete_stream(js, name: str, handler: _Handler[bool]) -> bool: ...
    @overload
    def purge(
        js: JetStream[aio.Client],
        stream: str,
        subject: str | None = None,
        handler: None = None,
        keep: int = 0,
    ) -> Awaitable[int]: ...
    @overload
    def purge(
        js, stream: str, subject: str | None = None, handler: None = None, keep: int = 0
    ) -> int: ...
    @overload
    def purge(
        js, stream: str, subject: str | None = None, *, handler: _Handler[int], keep: int = 0
    ) -> bool: ...
    @overload
    def get(
        js: JetStream[aio.Client], stream: str, seq: int, handler: None = None
    ) -> Awaitable[Stored | None]: ...
    @overload
    def get(js, stream: str, seq: int, handler: None = None) -> Stored | None: ...
    @overload
    def get(js, stream: str, seq: int, handler: _Handler[Stored | None]) -> bool: ...
    @overload
    def last(
        js: JetStream[aio.Client],
        stream: str,
        subject: str,
        handler: None = None,
        into: _Buffer | None = None,
    ) -> Awaitable[Stored | None]: ...
    @overload
    def last(
        js, stream: str, subject: str, handler: None = None, into: _Buffer | None = None
    ) -> Stored | None: ...
    @overload
    def last(
        js,
        stream: str,
        subject: str,
        handler: _Handler[Stored | None],
        into: _Buffer | None = None,
    ) -> bool: ...
    @overload
    def consumer(
        js: JetStream[aio.Client],
        stream: str,
        durable: str | None = None,
        filter: str | Iterable[str] | None = None,
        deliver: str | int = "all",
        ack_wait_ms: int | None = None,
        max_deliver: int | None = None,
        inactive_ms: int | None = None,
        *,
        handler: None = None,
    ) -> Awaitable[Consumer[aio.Client]]: ...
    @overload
    def consumer(
        js,
        stream: str,
        durable: str | None = None,
        filter: str | Iterable[str] | None = None,
        deliver: str | int = "all",
        ack_wait_ms: int | None = None,
        max_deliver: int | None = None,
        inactive_ms: int | None = None,
        *,
        handler: None = None,
    ) -> Consumer[_C]: ...
    @overload
    def consumer(
        js,
        stream: str,
        durable: str | None = None,
        filter: str | Iterable[str] | None = None,
        deliver: str | int = "all",
        ack_wait_ms: int | None = None,
        max_deliver: int | None = None,
        inactive_ms: int | None = None,
        *,
        handler: _Handler[Consumer[_C]],
    ) -> bool: ...
    def ordered(
        js,
        stream: str,
        handler: Callable[[Msg | None], object],
        filter: str | None = None,
        deliver: str | int = "all",
        window: int = 8,
        headers_only: bool = False,
        ready: Callable[[int], object] | None = None,
        timeout_ms: int | None = None,
    ) -> Ordered: ...
