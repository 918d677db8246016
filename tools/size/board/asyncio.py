"""The names that a program under asyncio has loaded already, for a port without asyncio."""

Event = StreamReader = TimeoutError = None
create_task = get_event_loop = wait_for = sleep = call_exception_handler = readinto = None
is_set = cancel = message = exception = future = None
