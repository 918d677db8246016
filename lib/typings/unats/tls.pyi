from typing import Any

class Tls:
    context: Any
    server_hostname: str | None
    handshake_first: bool
    handshake_timeout_ms: int
    @property
    def verifies(self) -> bool: ...
    def __init__(
        self,
        ca: str | bytes | None = None,
        *,
        cert: str | bytes | None = None,
        key: str | bytes | None = None,
        server_hostname: str | None = None,
        handshake_first: bool = False,
        handshake_timeout_ms: int = 4000,
        insecure_skip_verify: bool = False,
        context: Any | None = None,
    ) -> None: ...
