"""Files on their way: uploads, documents, the inputs and outputs of runs.

Ports Uploads, Documents, RunFiles, FileSweeper.
"""

from actors.files.blobs import FileBlobs as FileBlobs
from actors.files.documents import DeleteDocument as DeleteDocument
from actors.files.documents import Documents as Documents
from actors.files.documents import FindContent as FindContent
from actors.files.documents import FindPreview as FindPreview
from actors.files.documents import KeepDocument as KeepDocument
from actors.files.documents import ListDocuments as ListDocuments
from actors.files.documents import OpenContent as OpenContent
from actors.files.documents import ReadDocument as ReadDocument
from actors.files.file_sweeper import RETRY_DEAD as RETRY_DEAD
from actors.files.file_sweeper import FileSweeper as FileSweeper
from actors.files.file_sweeper import SweepFiles as SweepFiles
from actors.files.inputs import wanted_files as wanted_files
from actors.files.names import UNKNOWN_MIME as UNKNOWN_MIME
from actors.files.names import decode_name as decode_name
from actors.files.names import human_size as human_size
from actors.files.names import read_mime as read_mime
from actors.files.records import DELETE_TOPIC as DELETE_TOPIC
from actors.files.records import Document as Document
from actors.files.records import DocumentQuery as DocumentQuery
from actors.files.records import DocumentRecords as DocumentRecords
from actors.files.records import FileLimits as FileLimits
from actors.files.records import InputFile as InputFile
from actors.files.records import OutputRoom as OutputRoom
from actors.files.records import Purpose as Purpose
from actors.files.records import RunFileRecords as RunFileRecords
from actors.files.records import SweepRecords as SweepRecords
from actors.files.records import Upload as Upload
from actors.files.records import UploadRecords as UploadRecords
from actors.files.run_files import DropFiles as DropFiles
from actors.files.run_files import ListInputs as ListInputs
from actors.files.run_files import OpenInput as OpenInput
from actors.files.run_files import Publication as Publication
from actors.files.run_files import PublishedDocument as PublishedDocument
from actors.files.run_files import PublishOutput as PublishOutput
from actors.files.run_files import RunFiles as RunFiles
from actors.files.run_files import TakeFiles as TakeFiles
from actors.files.run_files import TakenFiles as TakenFiles
from actors.files.tokens import FileTokens as FileTokens
from actors.files.uploads import CreateUpload as CreateUpload
from actors.files.uploads import Uploads as Uploads
from actors.files.uploads import WriteUpload as WriteUpload
from actors.files.views import DocumentView as DocumentView
from actors.files.views import PreviewKind as PreviewKind
from actors.files.views import preview_kind as preview_kind
