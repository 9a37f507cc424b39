"""Why a run is as it is."""

from actors.runs import ExplainRun, Explanation
from appstrate.http.call import Call, Routes, Scope

routes = Routes()


@routes.add("GET", "/api/runs/{run}/why", Scope.APPLICATION, "runs:read")
async def explain_run(call: Call) -> Explanation:
    """Explain a run: its cause, a remedy, and what happened in order.

    Model requests, the program's last lines and its end are kept while the run goes on, so that a
    run whose server was killed is explained too, as far as it came.
    """
    return await call.at.run_evidence.ask(ExplainRun(caller=call.caller, run=call.run))
