"""What ingest needs of the world, named by role."""

from caudal.ingest.ports.counting import Tally as Tally
from caudal.ingest.ports.polling import Fleet as Fleet
from caudal.ingest.ports.polling import PollingRecord as PollingRecord
from caudal.ingest.ports.polling import ProviderClients as ProviderClients
from caudal.ingest.ports.polling import ProviderState as ProviderState
from caudal.ingest.ports.polling import Secrets as Secrets
from caudal.ingest.ports.polling import Vault as Vault
from caudal.ingest.ports.providers import Answered as Answered
from caudal.ingest.ports.providers import Failed as Failed
from caudal.ingest.ports.providers import NoData as NoData
from caudal.ingest.ports.providers import Outcome as Outcome
from caudal.ingest.ports.providers import ProviderClient as ProviderClient
from caudal.ingest.ports.providers import Question as Question
from caudal.ingest.ports.providers import RemoteReading as RemoteReading
from caudal.ingest.ports.providers import UnreadableRow as UnreadableRow
from caudal.ingest.ports.streams import ApiKeys as ApiKeys
from caudal.ingest.ports.streams import Feed as Feed
from caudal.ingest.ports.streams import Feeds as Feeds
from caudal.ingest.ports.streams import Lease as Lease
from caudal.ingest.ports.windows import Batch as Batch
from caudal.ingest.ports.windows import Jobs as Jobs
from caudal.ingest.ports.windows import Rejects as Rejects
from caudal.ingest.ports.windows import Table as Table
from caudal.ingest.ports.windows import WindowJob as WindowJob
from caudal.ingest.ports.windows import WindowProgress as WindowProgress
from caudal.ingest.ports.windows import WindowRunner as WindowRunner
