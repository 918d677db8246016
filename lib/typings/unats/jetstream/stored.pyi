class Stored:
    stream: str
    subject: str
    seq: int
    time: str
    headers: dict[str, str] | None
    data: bytes
