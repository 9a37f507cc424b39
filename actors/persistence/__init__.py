"""State between runs: notes that can be searched, and slots that the next run is shown."""

from actors.persistence.persistence import Entries as Entries
from actors.persistence.persistence import ForgetEntries as ForgetEntries
from actors.persistence.persistence import ListEntries as ListEntries
from actors.persistence.persistence import PastRuns as PastRuns
from actors.persistence.persistence import Persistence as Persistence
from actors.persistence.persistence import ReadHistory as ReadHistory
from actors.persistence.persistence import ReadSlots as ReadSlots
from actors.persistence.persistence import Recall as Recall
from actors.persistence.persistence import viewer_of as viewer_of
from actors.persistence.records import ActorType as ActorType
from actors.persistence.records import Choice as Choice
from actors.persistence.records import Entry as Entry
from actors.persistence.records import Kind as Kind
from actors.persistence.records import Memory as Memory
from actors.persistence.records import PastField as PastField
from actors.persistence.records import PastRun as PastRun
from actors.persistence.records import PersistenceRecords as PersistenceRecords
from actors.persistence.records import Viewer as Viewer
from actors.persistence.rules import CHECKPOINT as CHECKPOINT
from actors.persistence.rules import MOST_NOTES as MOST_NOTES
from actors.persistence.rules import MOST_SLOTS as MOST_SLOTS
from actors.persistence.rules import Dropped as Dropped
from actors.persistence.rules import Kept as Kept
from actors.persistence.rules import Note as Note
from actors.persistence.rules import Slot as Slot
from actors.persistence.rules import read_kept as read_kept
