"""Points the cases of schemathesis at existing things, and counts the statuses of each operation.

The cases that schemathesis generates are valid by the document, but name things that do not exist. Valid cases with a body
are always pointed at existing things, other valid cases every second time. All remaining cases are sent as generated.
"""

import atexit
import collections
import itertools
import json
import os
import pathlib
import threading
import time

import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

API = os.environ["AUDITSTREAM_API"]
TOKEN = os.environ["AUDITSTREAM_TOKEN"]
OBJECTS = pathlib.Path(os.environ["AUDITSTREAM_OBJECTS"])
# Nothing listens there, and no name must be resolved.
UNREACHABLE = "http://127.0.0.1:9"
SECRET = "whsec_" + "a" * 32

session = requests.Session()
session.headers["Authorization"] = f"Bearer {TOKEN}"
numbers = itertools.count(1)
seen = collections.defaultdict(collections.Counter)
turns = collections.Counter()
lock = threading.RLock()


def call(method, path, body=None, accept=(200, 201, 202, 204)):
    answer = session.request(method, f"{API}{path}", json=body, timeout=60)
    if answer.status_code not in accept:
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer


def put(noun, body):
    """Creates or replaces a thing and returns its identifier."""
    if call("PUT", f"/v1/{noun}/{body['identifier']}", body, (200, 404)).status_code == 404:
        call("POST", f"/v1/{noun}", body)
    return body["identifier"]


def connector(identifier):
    secret = (OBJECTS.parent / "store.secret").read_text().strip()
    demo = call("GET", "/v1/connectors/demo_s3").json()["connector"]["spec"]["endpoint"]
    credentials = {"type": "MANUAL", "access_key": "auditstream-demo", "secret_key": secret}
    backoff = {"type": "FIXED_DELAY", "fixed_backoff": 10, "retry_count": 0}
    spec = {"type": "AWS", "endpoint": demo, "path_style": True, "credentials": credentials, "backoff": backoff}
    return put("connectors", {"identifier": identifier, "name": identifier, "spec": spec})


def destination(identifier, status="INACTIVE", bucket="audit-logs"):
    # Without `start_at`, which cannot change after the first activation.
    spec = {"type": "AWS_S3", "bucket": bucket}
    through = connector("led_to")
    body = {"identifier": identifier, "name": identifier, "status": status, "connector_ref": through, "spec": spec}
    return put("streaming-destinations", body)


def paused():
    destination("led_to_paused", "ACTIVE")
    return destination("led_to_paused")


def blocked():
    """Creates a destination whose batch is blocked by another object; returns both."""
    number = next(numbers)
    bucket = f"blocked-{number}"
    identifier = destination(f"blocked_{number}", "ACTIVE", bucket)
    batch = wait_for_batch(identifier, lambda batch: batch["error"] is not None)
    other = OBJECTS / bucket / batch["key"]
    other.parent.mkdir(parents=True)
    other.write_text("another writer's object")
    call("POST", f"/v1/streaming-destinations/{identifier}/stream-now")
    batch = wait_for_batch(identifier, lambda batch: (batch["error"] or {}).get("code") == "object_exists")
    return identifier, batch["number"]


def wait_for_batch(identifier, wanted):
    for _ in range(600):
        batches = call("GET", f"/v1/streaming-destinations/{identifier}/batches").json()
        if batches and wanted(batches[0]):
            return batches[0]
        time.sleep(0.1)
    raise RuntimeError(f"{identifier} has no such batch: {batches}")


def webhook():
    call("PUT", "/v1/webhook", {"url": f"{UNREACHABLE}/", "secret": SECRET})


def active_user():
    """Returns the only active user, so that one admin remains in every case."""
    page = 0
    while users := call("GET", f"/v1/users?page={page}&limit=100").json():
        for user in users:
            if user["status"] == "ACTIVE":
                return user["email"]
        page += 1
    raise RuntimeError("there is no active user")


def of_connector(body):
    spec = body["spec"]
    # A random endpoint could exist.
    spec["endpoint"] = UNREACHABLE
    if spec["credentials"]["type"] == "MANUAL" and not spec["credentials"].get("secret_key"):
        spec["credentials"]["secret_key"] = "secret"
    backoff = spec.get("backoff") or {}
    if "base_delay" in backoff:
        backoff["base_delay"], backoff["max_backoff_time"] = sorted((backoff["base_delay"], backoff["max_backoff_time"]))


def of_destination(body):
    spec = body["spec"]
    # Without it, the stored compression would apply to the level.
    spec["compression"] = spec.get("compression") or "gzip"
    level = spec.get("compression_level")
    if level is not None:
        spec["compression_level"] = {"gzip": min(level, 9), "zstd": level, "none": None}[spec["compression"]]


def of_events(case):
    account = "default"
    if case.media_type == "application/x-ndjson":
        event = {
            "auditEventId": f"line-{next(numbers)}",
            "auditEventAuthor": {"principal": {"type": "USER", "identifier": "ada"}},
            "auditModule": "CD",
            "auditResource": {"type": "PIPELINE", "identifier": "p"},
            "auditResourceScope": {"accountIdentifier": account},
            "auditAction": "UPDATE",
            "auditEventTime": "1688989356000",
        }
        case.body = json.dumps(event) + "\n"
        return
    for event in case.body if isinstance(case.body, list) else [case.body]:
        event["auditResourceScope"]["accountIdentifier"] = account
        # The id of another event is refused.
        event["auditEventId"] = f"{event['auditEventId'][:400]}-{next(numbers)}"


def lead(name, case):
    body, number = case.body, next(numbers)
    fresh = lambda: f"{body['identifier'][:100]}_{number}"  # noqa: E731
    match name:
        case "createConnector":
            body["identifier"] = fresh()
            of_connector(body)
        case "getConnector" | "testConnector":
            case.path_parameters["id"] = connector("led_to")
        case "replaceConnector":
            case.path_parameters["id"] = body["identifier"] = connector("led_to_replace")
            of_connector(body)
        case "deleteConnector":
            case.path_parameters["id"] = connector(f"led_to_{number}")
        case "createStreamingDestination":
            body["identifier"] = fresh()
            body["connector_ref"] = connector("led_to")
            of_destination(body)
        case "replaceStreamingDestination":
            case.path_parameters["id"] = body["identifier"] = destination("led_to_replace")
            body["connector_ref"] = "led_to"
            body["spec"].pop("start_at", None)
            of_destination(body)
        case "getStreamingDestination" | "checkBucket" | "listBatches":
            case.path_parameters["id"] = destination("led_to")
        case "deleteStreamingDestination":
            case.path_parameters["id"] = destination(f"led_to_{number}")
        case "streamNow":
            case.path_parameters["id"] = destination("led_to_active", "ACTIVE")
        case "moveCursor":
            case.path_parameters["id"] = paused()
            body["sequence"] = min(body["sequence"], 3)
        case "renameBatch" if turns[name] <= 4:
            case.path_parameters["id"], case.path_parameters["number"] = blocked()
        case "checkUnsavedBucket":
            body["connector_ref"] = connector("led_to")
            of_destination(body)
        case "getWebhook" | "removeWebhook" | "testWebhook":
            webhook()
        case "setWebhook":
            body["url"] = f"{UNREACHABLE}/{number}"
            body["secret"] = body.get("secret") or SECRET
        case "inviteUser":
            body["email"] = f"user{number}@example.com"
        case "setUserRole" | "createPasswordLink" | "signOutUser":
            case.path_parameters["email"] = active_user()
        case "removeUser":
            email = f"removed{number}@example.com"
            call("POST", "/v1/users", {"email": email, "role": "account_viewer"})
            case.path_parameters["email"] = email
        case "createApiToken":
            body["name"] = f"generated {number}"
        case "revokeApiToken":
            token = {"name": f"to be revoked {number}", "scopes": ["read"]}
            case.path_parameters["id"] = call("POST", "/v1/api-tokens", token).json()["api_token"]["id"]
        case "sendAuditEvents":
            of_events(case)
        case "getAuditEvent":
            case.path_parameters["event"] = "1"
            case.query["by"] = "sequence"


@schemathesis.hook
def before_call(context, case, kwargs):
    meta = case.meta
    if meta is None:
        return
    if meta.generation.mode != GenerationMode.POSITIVE:
        headers = meta.components.get(ParameterLocation.HEADER)
        if headers is None or headers.mode == GenerationMode.POSITIVE:
            # These would be refused before the invalid part is checked.
            case.headers.pop("Harness-Account", None)
            case.headers.pop("If-Match", None)
        return
    name = case.operation.definition.raw["operationId"]
    with lock:
        turns[name] += 1
        for header in ("If-Match", "If-None-Match"):
            if case.headers.get(header) == "":
                # Generated for an absent optional header; the pattern forbids it.
                del case.headers[header]
        if not case.operation.body and turns[name] % 2:
            return
        for header in ("Harness-Account", "If-Match"):
            case.headers.pop(header, None)
        lead(name, case)


@schemathesis.hook
def after_call(context, case, response):
    with lock:
        seen[case.operation.definition.raw["operationId"]][str(response.status_code)] += 1


@atexit.register
def write_counts():
    with open(os.environ["AUDITSTREAM_COUNTS"], "w", encoding="utf-8") as file:
        json.dump(seen, file)
