"""Every limit of the contract is registered with its route: uses per minute, and by whom."""

import pytest

from appstrate.http.routes import every_route
from support.coverage import bare

TABLE = """
5 POST /api/auth/bootstrap/redeem
10 POST /api/packages/import
10 POST /api/packages/import-bundle
50 GET /api/packages/{}/{}/files
30 GET /api/agents/{}/{}/bundle
20 POST /api/agents/{}/{}/run
60 POST /api/runs/inline
120 GET /api/runs/{}/logs
30 PATCH /api/runs/{}/sink/extend
10 POST /api/agents/{}/{}/schedules
5 POST /api/models/test
5 POST /api/models/{}/test
5 POST /api/model-provider-credentials/test
5 POST /api/model-provider-credentials/{}/test
6 POST /api/model-provider-credentials/{}/refresh-models
20 POST /api/uploads
60 PUT /api/uploads/_content
120 GET /api/documents
60 POST /api/end-users
300 GET /api/end-users
10 POST /api/webhooks
5 POST /api/webhooks/{}/test
5 POST /api/webhooks/{}/rotate
"""
ROUTES = {(route.method, bare(route.path)): route for route in every_route()}


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_a_route_has_the_limit_of_the_contract(row: str) -> None:
    uses, method, path = row.split()
    limit = ROUTES[method, path].limit

    assert limit is not None
    assert (limit.uses, limit.seconds) == (int(uses), 60)
