from collections.abc import Callable
from typing import Any, Literal, Protocol, overload

from typing_extensions import TypeAlias

from .dns import Resolver
from .kernels import Msg, Stats, _Data, _Headers, _Text
from .state import Info, Server, Subscription
from .tls import Tls

_State: TypeAlias = Literal[
    "disconnected", "connecting", "connected", "reconnecting", "draining", "closed"
]

class _Transport(Protocol):
    window: int
    def open(self, host: Any, port: int) -> None: ...
    def ready(self) -> bool: ...
    def readinto(self, buf: memoryview, /) -> int | None: ...
    def write(self, buf: Any, off: int, n: int, /) -> int | None: ...
    def wait(self, timeout_ms: int, writing: bool) -> None: ...
    def close(self) -> None: ...

class Client:
    on_event: Callable[[Any, str, Any], object] | None
    auth: Callable[[str], Any] | None
    transport: Any
    resolver: Any
    inbox_prefix: str
    rx_size: int
    tx_size: int
    ping_interval_ms: int
    max_pings_out: int
    connect_timeout_ms: int
    reconnect_wait_ms: int
    reconnect_max_wait_ms: int
    max_reconnects: int
    randomize: bool
    ignore_discovered_servers: bool
    state: _State
    last_error: Exception | None
    stats: Stats
    server: Info
    current: Server
    subscriptions: dict[int, Subscription]
    features: dict[str, Any]
    # Where features hook in:
    on_turn: tuple[Callable[[], int], ...]
    on_connect: tuple[Callable[[], bytes], ...]
    on_refusal: tuple[Callable[[Exception], object], ...]
    no_requeue: tuple[bytes, ...]
    def __init__(
        self,
        servers: str | list[str] | tuple[str, ...],
        *,
        name: str | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        auth: Callable[[str], Any] | None = None,
        tls: Tls | Any | None = None,
        rx_size: int = 1024,
        tx_size: int = 1024,
        transport: _Transport | None = None,
        resolver: Resolver | Any | None = None,
        on_event: Callable[[Any, str, Any], object] | None = None,
        inbox_prefix: str = "_INBOX",
        ping_interval_ms: int = 30000,
        max_pings_out: int = 2,
        connect_timeout_ms: int = 5000,
        reconnect_wait_ms: int = 250,
        reconnect_max_wait_ms: int = 30000,
        max_reconnects: int = -1,
        randomize: bool = True,
        echo: bool = True,
        verbose: bool = False,
        pedantic: bool = False,
        ignore_discovered_servers: bool = False,
    ) -> None: ...
    @property
    def connected(self) -> bool: ...
    def connect(self, timeout_ms: int | None = None, wait: bool = True) -> None: ...
    def reconnect(self) -> None: ...
    def close(self) -> None: ...
    def poll(self, timeout_ms: int = 0) -> int: ...
    def publish(
        self,
        subject: _Text,
        payload: _Data = b"",
        reply: _Text | None = None,
        headers: _Headers | None = None,
        n: int = -1,
    ) -> bool: ...
    def flush(self, timeout_ms: int = 2000) -> bool: ...
    def subscribe(
        self,
        subject: _Text,
        handler: Callable[[Msg], object],
        queue: _Text | None = None,
        max_msgs: int = 0,
        chunked: bool = False,
    ) -> Subscription: ...
    @overload
    def request(
        self,
        subject: _Text,
        payload: _Data = b"",
        timeout_ms: int = 2000,
        headers: _Headers | None = None,
        handler: None = None,
        max_msgs: int = 1,
    ) -> Msg: ...
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
    def drain(self, timeout_ms: int = 5000) -> bool: ...
    def deadline(self, ms: int) -> int: ...
    def left(self, deadline: int) -> int: ...
    def event(self, kind: str, why: Any = None) -> None: ...
    def end(self, why: str, kind: str = "NotConnected") -> int: ...
    def control(self, line: bytes) -> bool: ...
    def resubscribe(self) -> None: ...
    def feature(self, name: str) -> Any: ...
