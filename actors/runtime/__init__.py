"""The actor runtime: Pykka's actor model on asyncio, and nothing of the domain."""

from actors.runtime.actor import Actor as Actor
from actors.runtime.address import Address as Address
from actors.runtime.address import State as State
from actors.runtime.context import Context as Context
from actors.runtime.context import current_context as current_context
from actors.runtime.errors import ActorCrashed as ActorCrashed
from actors.runtime.errors import AskError as AskError
from actors.runtime.errors import BootError as BootError
from actors.runtime.errors import Conflict as Conflict
from actors.runtime.errors import FieldProblem as FieldProblem
from actors.runtime.errors import HandlerError as HandlerError
from actors.runtime.errors import InboxFull as InboxFull
from actors.runtime.errors import LimitExceeded as LimitExceeded
from actors.runtime.errors import NotFound as NotFound
from actors.runtime.errors import Refusal as Refusal
from actors.runtime.errors import Rejected as Rejected
from actors.runtime.errors import Unavailable as Unavailable
from actors.runtime.inbox import Lane as Lane
from actors.runtime.message import Event as Event
from actors.runtime.message import Message as Message
from actors.runtime.message import Ping as Ping
from actors.runtime.message import Request as Request
from actors.runtime.metrics import Metrics as Metrics
from actors.runtime.supervisor import Child as Child
from actors.runtime.supervisor import RestartPolicy as RestartPolicy
from actors.runtime.supervisor import Supervisor as Supervisor
