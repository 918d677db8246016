class Ordered:
    seq: int
    error: Exception | None
    over: bool
    def stop(self) -> None: ...
