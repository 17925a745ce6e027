-- What AWS and the bucket check tell.

-- What AWS calls the request of a batch's last attempt; its support asks for it.
ALTER TABLE streaming_batch ADD COLUMN request_id TEXT;
-- What was found on the way, though the batch was delivered.
ALTER TABLE streaming_batch ADD COLUMN remark TEXT;
-- Whether the bucket's server honours If-None-Match (1, 0; null: unknown), and when that was found out.
ALTER TABLE streaming_destination ADD COLUMN conditional_writes BIGINT;
ALTER TABLE streaming_destination ADD COLUMN conditional_writes_checked BIGINT;
