"""Port Models: providers, credentials, models, and the one a run gets."""

from actors.models.choice import AgentModel as AgentModel
from actors.models.choice import ChosenModel as ChosenModel
from actors.models.choice import Generation as Generation
from actors.models.models import ChooseModel as ChooseModel
from actors.models.models import CreateCredential as CreateCredential
from actors.models.models import CreateModel as CreateModel
from actors.models.models import ListCredentials as ListCredentials
from actors.models.models import ListModels as ListModels
from actors.models.models import ModelAccess as ModelAccess
from actors.models.models import Models as Models
from actors.models.models import OpenModel as OpenModel
from actors.models.models import ReadAgentModel as ReadAgentModel
from actors.models.models import SetAgentModel as SetAgentModel
from actors.models.models import SetDefaultModel as SetDefaultModel
from actors.models.prices import Cost as Cost
from actors.models.providers import DEMO as DEMO
from actors.models.providers import PROVIDERS as PROVIDERS
from actors.models.providers import Provider as Provider
from actors.models.records import Credential as Credential
from actors.models.records import CredentialSpec as CredentialSpec
from actors.models.records import Model as Model
from actors.models.records import ModelRecords as ModelRecords
from actors.models.records import ModelSpec as ModelSpec
from actors.models.records import OrgModels as OrgModels
from actors.models.records import StoredCredential as StoredCredential
from actors.models.records import StoredModel as StoredModel
