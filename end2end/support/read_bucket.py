"""Reads a bucket as a SIEM would, with boto3, and counts its events again with DuckDB.

    read_bucket.py ENDPOINT BUCKET [PART_OF_KEY]

Prints one JSON object; the credentials are those of the environment.
"""

import gzip
import json
import pathlib
import sys
import tempfile

import boto3
import duckdb
import jsonschema
from botocore.config import Config

SCHEMA = pathlib.Path(__file__).parents[2] / "testkit/data/payload.schema.json"


def main(endpoint: str, bucket: str, part: str = "") -> None:
    s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    keys = sorted(key for key in keys if part in key and key.endswith(".ndjson.gz"))
    validator = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))
    sequences, invalid = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, key in enumerate(keys):
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            pathlib.Path(folder, f"{number:06}.ndjson.gz").write_bytes(body)
            for line in gzip.decompress(body).decode().splitlines():
                event = json.loads(line)
                invalid += [f"{key}: {error.message}" for error in validator.iter_errors(event)]
                sequences.append(event["auditEventMetadata"]["sequence"])
        events, ids = (0, 0)
        if keys:
            query = "SELECT count(*), count(DISTINCT auditEventId) FROM read_ndjson(?, columns={auditEventId: 'VARCHAR'})"
            events, ids = duckdb.execute(query, [f"{folder}/*.ndjson.gz"]).fetchone()
    print(
        json.dumps(
            {
                "objects": len(keys),
                "sequences": sequences,
                "invalid": invalid,
                "duckdb": {"events": events, "ids": ids},
            }
        )
    )


main(*sys.argv[1:])
