"""Streams with the client that was generated from /openapi.json: creates a destination, activates it, waits for an object,
pauses and deletes it."""

import os
import pathlib
import sys
import time

from generated_client import AuthenticatedClient, models
from generated_client.api.audit_events import search_audit_events
from generated_client.api.streaming_destinations import (
    create_streaming_destination,
    delete_streaming_destination,
    get_streaming_destination,
    list_batches,
    list_streaming_destinations,
    replace_streaming_destination,
)
from generated_client.types import UNSET

client = AuthenticatedClient(base_url=os.environ["AUDITSTREAM_API"], token=os.environ["AUDITSTREAM_TOKEN"])
objects = pathlib.Path(os.environ["AUDITSTREAM_OBJECTS"]) / "audit-logs"


def wanted(status):
    return models.DestinationInput(
        identifier="generated",
        name="Generated",
        connector_ref="demo_s3",
        status=status,
        spec=models.SpecInput(bucket="audit-logs", prefix="generated/", start_at=models.StartAt.OLDEST),
    )


def expect(answer, status, kind):
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert kind is None or isinstance(answer.parsed, kind), answer.parsed
    return answer.parsed


made = create_streaming_destination.sync_detailed(client=client, body=wanted(models.Status.INACTIVE))
expect(made, 201, models.DestinationView)
read = get_streaming_destination.sync_detailed("generated", client=client)
view = expect(read, 200, models.DestinationView)
assert view.streaming_destination.spec.prefix == "generated/", view
listed = expect(list_streaming_destinations.sync_detailed(client=client, search_term="GENERATED"), 200, list)
assert [row.streaming_destination.identifier for row in listed] == ["generated"], listed

# The samples of the demo.
found = expect(search_audit_events.sync_detailed(client=client, limit=1), 200, models.EventPage)
assert found.events[0].audit_event_id and found.next_, found

stale = replace_streaming_destination.sync_detailed("generated", client=client, body=wanted(models.Status.ACTIVE), if_match='"0"')
assert expect(stale, 412, models.Problem).code == models.Code.PRECONDITION_FAILED
active = replace_streaming_destination.sync_detailed(
    "generated", client=client, body=wanted(models.Status.ACTIVE), if_match=read.headers["etag"]
)
expect(active, 200, models.DestinationView)

for _ in range(600):
    batches = expect(list_batches.sync_detailed("generated", client=client), 200, list)
    if any(batch.status == models.BatchStatus.SUCCESS for batch in batches):
        break
    time.sleep(0.1)
else:
    sys.exit(f"nothing was streamed: {batches}")
landed = [path for path in (objects / "generated").rglob("*.ndjson.gz") if path.is_file()]
assert landed, list(objects.rglob("*"))

refused = delete_streaming_destination.sync_detailed("generated", client=client)
assert expect(refused, 409, models.Problem).code == models.Code.CONFLICT
expect(replace_streaming_destination.sync_detailed("generated", client=client, body=wanted(models.Status.INACTIVE)), 200, None)
expect(delete_streaming_destination.sync_detailed("generated", client=client), 204, None)
gone = expect(get_streaming_destination.sync_detailed("generated", client=client), 404, models.Problem)
assert gone.code == models.Code.NOT_FOUND and gone.errors is UNSET
