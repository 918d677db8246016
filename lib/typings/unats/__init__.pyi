# Types of unats' public API, for editors and mypy (MYPYPATH=lib/typings). Not for boards.

from .client import Client as Client
from .errors import AuthError as AuthError
from .errors import Error as Error
from .errors import NoResponders as NoResponders
from .errors import NotConnected as NotConnected
from .errors import ProtocolError as ProtocolError
from .errors import ServerError as ServerError
from .errors import Timeout as Timeout
from .kernels import Msg as Msg
from .payload import Payload as Payload
from .state import Subscription as Subscription

__version__: str
