class Stats:
    acked: int
    resent: int
    dropped: int
    damaged: int
    rejected: int
    unverified: int
    unconfirmed: int
    def __init__(self) -> None: ...
