"""What the board runs after boot.py: the wiring, and nothing else.

The same file runs on a real board and on the simulated one; sys.platform picks the board support.
"""

import unats  # first: nothing else takes as much heap to compile
import unats.subscription  # otherwise loaded by the first subscribe(), when the heap is in pieces

import boards
import sensors
import settings
import utime
from app import App


def main():
    """Read settings.json, build board, client and application, and run until Ctrl-C.

    With a mistake in settings.json nothing is started: the mistakes are printed and the REPL stays
    reachable. (Leaving with sys.exit() would make a board restart for ever.)
    """
    Board = boards.find()
    try:
        config = settings.load("settings.json", Board.needs_wifi)
        board = Board(config, utime)
        device = config.device or board.default_name()
        client = unats.Client(
            config.servers,
            name=device,
            user=config.user,
            password=config.password,
            token=config.token,
            on_event=lambda nc, event, detail: app.on_event(nc, event, detail),
        )
    except ValueError as mistake:
        print(mistake)
        return
    app = App(client, utime, board, device, config.period_ms, sensors.of(board))
    app.run()


if __name__ == "__main__":
    main()
