-- Statements of the storage `postgres`. `{table}` is the quoted name of its table, the other names
-- in braces are those of its indexes. The columns up to vcon_json are the reference's, which made
-- them with timestamps without a zone: the session's zone is UTC, so both kinds take the same value.

-- :name lock
-- Replicas that start at once make the table one after the other.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- :name is_made
-- ALTER and CREATE INDEX lock the table and need its owner, even when there is nothing to do.
SELECT count(*) FILTER (WHERE attname IN ('document', 'rev')) = 2
       AND (SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest($2::text[]) AS name)
  FROM pg_attribute
 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped;

-- :name make
CREATE TABLE IF NOT EXISTS {table} (
    id         UUID PRIMARY KEY,
    vcon       TEXT NOT NULL,
    uuid       UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ,
    subject    TEXT,
    vcon_json  JSONB,
    document   BYTEA,
    rev        BIGINT
);
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS document BYTEA;
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS rev BIGINT;
CREATE INDEX IF NOT EXISTS {created_at_index} ON {table} (created_at);
CREATE INDEX IF NOT EXISTS {uuid_index} ON {table} (uuid);
CREATE INDEX IF NOT EXISTS {json_index} ON {table} USING gin (vcon_json jsonb_path_ops);

-- :name has_lz4
-- The server may have been built without it.
SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression';

-- :name compress
-- pglz, the default, takes a third of the time that the server needs for a row of 2 kB.
ALTER TABLE {table} ALTER document SET COMPRESSION lz4, ALTER vcon_json SET COMPRESSION lz4;

-- :name upsert
-- A row of the reference has no revision: anything of ours is newer. The JSONB is made of the bytes,
-- which then cross the wire only once.
INSERT INTO {table} AS stored
    (id, uuid, vcon, created_at, updated_at, subject, vcon_json, document, rev)
SELECT id, id, vcon, to_timestamp(created_at), now(), subject,
       CASE WHEN has_json THEN convert_from(document, 'UTF8')::jsonb END, document, rev
  FROM unnest($1::uuid[], $2::text[], $3::float8[], $4::text[], $5::bool[], $6::bytea[], $7::int8[])
       AS fresh (id, vcon, created_at, subject, has_json, document, rev)
ON CONFLICT (id) DO UPDATE
   SET vcon = excluded.vcon,
       created_at = excluded.created_at,
       updated_at = excluded.updated_at,
       subject = excluded.subject,
       vcon_json = excluded.vcon_json,
       document = excluded.document,
       rev = excluded.rev
 WHERE stored.rev IS NULL OR stored.rev <= excluded.rev;

-- :name get
-- What the reference stored has no bytes, only JSONB: its text is all there is.
SELECT coalesce(document, convert_to(vcon_json::text, 'UTF8')) FROM {table} WHERE id = $1;

-- :name delete
DELETE FROM {table} WHERE id = $1;

-- :name writable
SELECT current_setting('transaction_read_only') = 'off';
