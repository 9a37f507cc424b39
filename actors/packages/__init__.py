"""Agents, skills, integrations and MCP servers: their drafts, versions and archives.

Four ports: Packages reads the catalogue, Artifacts opens the bytes of what is in it, Publisher
brings single packages in, Bundles whole ones in and out, and Curator changes what is there.
"""

from actors.packages.artifacts import Artifacts as Artifacts
from actors.packages.artifacts import OpenRunBundle as OpenRunBundle
from actors.packages.bundles import BundleLimits as BundleLimits
from actors.packages.bundles import Bundles as Bundles
from actors.packages.bundles import ExportBundle as ExportBundle
from actors.packages.bundles import ImportBundle as ImportBundle
from actors.packages.bundles import ImportedBundle as ImportedBundle
from actors.packages.curation import Change as Change
from actors.packages.curation import CurationRecords as CurationRecords
from actors.packages.curation import Yank as Yank
from actors.packages.curator import Curator as Curator
from actors.packages.curator import DeleteVersion as DeleteVersion
from actors.packages.curator import EditDraft as EditDraft
from actors.packages.curator import RestoreVersion as RestoreVersion
from actors.packages.curator import TagVersion as TagVersion
from actors.packages.curator import YankVersion as YankVersion
from actors.packages.definition import AgentDefinition as AgentDefinition
from actors.packages.definition import BundlePart as BundlePart
from actors.packages.definition import SkillFacts as SkillFacts
from actors.packages.drafts import Draft as Draft
from actors.packages.manifest import Manifest as Manifest
from actors.packages.manifest import PackageType as PackageType
from actors.packages.packages import ListAgents as ListAgents
from actors.packages.packages import ListPackages as ListPackages
from actors.packages.packages import ListVersions as ListVersions
from actors.packages.packages import Packages as Packages
from actors.packages.packages import ResolveAgent as ResolveAgent
from actors.packages.packages import ShowPackage as ShowPackage
from actors.packages.packages import ShowVersion as ShowVersion
from actors.packages.packages import SummarizeVersions as SummarizeVersions
from actors.packages.publisher import CreatePackage as CreatePackage
from actors.packages.publisher import ImportedPackage as ImportedPackage
from actors.packages.publisher import ImportPackage as ImportPackage
from actors.packages.publisher import InstallStarter as InstallStarter
from actors.packages.publisher import PublishDraft as PublishDraft
from actors.packages.publisher import Publisher as Publisher
from actors.packages.records import Adopted as Adopted
from actors.packages.records import AgentActivity as AgentActivity
from actors.packages.records import AgentItem as AgentItem
from actors.packages.records import BundleRecords as BundleRecords
from actors.packages.records import PackageItem as PackageItem
from actors.packages.records import PackageRecords as PackageRecords
from actors.packages.records import Publication as Publication
from actors.packages.records import PublicationRecords as PublicationRecords
from actors.packages.records import RunSummary as RunSummary
from actors.packages.records import StoredPackage as StoredPackage
from actors.packages.records import StoredVersion as StoredVersion
from actors.packages.records import VersionItem as VersionItem
from actors.packages.records import VersionRow as VersionRow
from actors.packages.rules import admit as admit
from actors.packages.rules import adopt as adopt
from actors.packages.rules import new_latest as new_latest
from actors.packages.rules import touches_draft as touches_draft
from actors.packages.signature import Policy as Policy
from actors.packages.signature import Trust as Trust
from actors.packages.signature import TrustedKey as TrustedKey
from actors.packages.signature import public_key_problem as public_key_problem
from actors.packages.views import AgentDetail as AgentDetail
from actors.packages.views import PackageDetail as PackageDetail
from actors.packages.views import VersionDetail as VersionDetail
from actors.packages.views import VersionSummary as VersionSummary
from actors.packages.views import split_name as split_name
