"""Port Accounts: users, sessions, organizations, applications, API keys, permissions."""

from actors.accounts.accounts import Accounts as Accounts
from actors.accounts.accounts import Authenticate as Authenticate
from actors.accounts.accounts import CreateApiKey as CreateApiKey
from actors.accounts.accounts import CreateOrganization as CreateOrganization
from actors.accounts.accounts import IssuedKey as IssuedKey
from actors.accounts.accounts import ListApiKeys as ListApiKeys
from actors.accounts.accounts import ListApplications as ListApplications
from actors.accounts.accounts import ListOrganizations as ListOrganizations
from actors.accounts.accounts import NewOrganization as NewOrganization
from actors.accounts.accounts import RevokeApiKey as RevokeApiKey
from actors.accounts.accounts import SignedIn as SignedIn
from actors.accounts.accounts import SignIn as SignIn
from actors.accounts.accounts import SignOut as SignOut
from actors.accounts.accounts import SignUp as SignUp
from actors.accounts.authentication import Authentication as Authentication
from actors.accounts.authentication import Credentials as Credentials
from actors.accounts.records import AccountRecords as AccountRecords
from actors.accounts.records import ApiKey as ApiKey
from actors.accounts.records import Application as Application
from actors.accounts.records import Caller as Caller
from actors.accounts.records import KeyFacts as KeyFacts
from actors.accounts.records import NewKey as NewKey
from actors.accounts.records import Organization as Organization
from actors.accounts.records import Session as Session
from actors.accounts.records import SessionFacts as SessionFacts
from actors.accounts.records import User as User
