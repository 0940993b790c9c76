"""What the door needs from elsewhere, named by role."""

from caudal.gateway_api.ports.catalog import CatalogEdit as CatalogEdit
from caudal.gateway_api.ports.catalog import CatalogStore as CatalogStore
from caudal.gateway_api.ports.catalog import Change as Change
from caudal.gateway_api.ports.catalog import Outbox as Outbox
from caudal.gateway_api.ports.identity import ApiKeys as ApiKeys
from caudal.gateway_api.ports.identity import Audit as Audit
from caudal.gateway_api.ports.identity import IdentityStore as IdentityStore
from caudal.gateway_api.ports.identity import IdentityWork as IdentityWork
from caudal.gateway_api.ports.identity import KeyRack as KeyRack
from caudal.gateway_api.ports.identity import LoginAttempts as LoginAttempts
from caudal.gateway_api.ports.identity import Passwords as Passwords
from caudal.gateway_api.ports.identity import People as People
from caudal.gateway_api.ports.identity import Resets as Resets
from caudal.gateway_api.ports.identity import Roles as Roles
from caudal.gateway_api.ports.identity import Sessions as Sessions
from caudal.gateway_api.ports.identity import Tokens as Tokens
from caudal.gateway_api.ports.identity import Users as Users
from caudal.gateway_api.ports.records import Records as Records
from caudal.gateway_api.ports.records import RecordsEdit as RecordsEdit
from caudal.gateway_api.ports.telemetry import Commands as Commands
from caudal.gateway_api.ports.telemetry import Ledger as Ledger
from caudal.gateway_api.ports.telemetry import Repeats as Repeats
from caudal.gateway_api.ports.windows import Expiring as Expiring
from caudal.gateway_api.ports.windows import Upload as Upload
from caudal.gateway_api.ports.windows import Uploads as Uploads
from caudal.gateway_api.ports.windows import WindowFiles as WindowFiles
