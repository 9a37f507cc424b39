"""Port Agents: how an application has set its agents up, and whether they could run."""

from actors.agents.agents import Agents as Agents
from actors.agents.agents import CheckReadiness as CheckReadiness
from actors.agents.agents import ReadProxy as ReadProxy
from actors.agents.agents import ReadSetup as ReadSetup
from actors.agents.agents import SetInputSettings as SetInputSettings
from actors.agents.agents import SetProxy as SetProxy
from actors.agents.readiness import ConnectionReadiness as ConnectionReadiness
from actors.agents.setup import AgentProxy as AgentProxy
from actors.agents.setup import AgentSetup as AgentSetup
from actors.agents.setup import InputSettings as InputSettings
from actors.agents.setup import SetupRecords as SetupRecords
