/**
 * The steps that lead from an empty database to the present schema.
 *
 * An object is one shard of one store (its name says which, and `shard` records it), so rows do not repeat the store.
 * Digest functions are REAPI's numbers, hashes are bytes (half of their hex), times are milliseconds since the epoch.
 *
 * `blobs` is WITHOUT ROWID and holds no bytes: the platform bills every row written, and one with a rowid and a unique
 * index is two. Measured with 50,000 blobs of 1 KiB in workerd, a look-up of 10,000 digests took 22 ms this way, 21 ms
 * in a rowid table with a unique index, and 170 ms in a WITHOUT ROWID table that holds the bytes too, since they fill
 * the inner pages of its tree. A blob in R2 costs one row written instead of two; an inline one two either way. Action
 * results are looked up one by one, which costs some 20 µs that way: there the bytes are in the row, and one is written.
 */
export const CACHE_SHARD_SCHEMA: readonly string[] = [
  `
  CREATE TABLE shard (
    store TEXT NOT NULL,
    shard_index INTEGER NOT NULL,
    shard_count INTEGER NOT NULL
  );

  -- Which blobs exist, and where: either upload_id names the R2 object, or bytes_id the row of blob_bytes.
  CREATE TABLE blobs (
    digest_function INTEGER NOT NULL,
    hash BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    last_access_ms INTEGER NOT NULL,
    upload_id TEXT,
    bytes_id INTEGER,
    PRIMARY KEY (digest_function, hash, size_bytes),
    CHECK ((upload_id IS NULL) <> (bytes_id IS NULL))
  ) WITHOUT ROWID;

  CREATE TABLE blob_bytes (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
  );

  CREATE TABLE action_results (
    instance TEXT NOT NULL,
    digest_function INTEGER NOT NULL,
    hash BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    last_access_ms INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (instance, digest_function, hash, size_bytes)
  ) WITHOUT ROWID;

  -- Uploads that have begun and not ended. An upload id is the Worker's, new for each R2 object.
  CREATE TABLE uploads (
    instance TEXT NOT NULL,
    client_upload_id TEXT NOT NULL,
    digest_function INTEGER NOT NULL,
    hash BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    upload_id TEXT NOT NULL,
    r2_upload_id TEXT NOT NULL,
    part_size_bytes INTEGER NOT NULL,
    began_ms INTEGER NOT NULL,
    PRIMARY KEY (instance, client_upload_id, digest_function, hash, size_bytes)
  ) WITHOUT ROWID;

  CREATE TABLE upload_parts (
    upload_id TEXT NOT NULL,
    part_number INTEGER NOT NULL,
    etag TEXT NOT NULL,
    PRIMARY KEY (upload_id, part_number)
  ) WITHOUT ROWID;
  `,
  `CREATE TABLE saved_counters (counters TEXT NOT NULL)`,
  `
  ALTER TABLE upload_parts ADD COLUMN stored_ms INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX uploads_by_age ON uploads (began_ms);

  -- R2 objects to be deleted from due_ms on, and multipart uploads to be aborted first, where r2_upload_id names one.
  CREATE TABLE deletions (
    upload_id TEXT PRIMARY KEY,
    digest_function INTEGER NOT NULL,
    hash BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    r2_upload_id TEXT,
    due_ms INTEGER NOT NULL,
    failures INTEGER NOT NULL
  ) WITHOUT ROWID;
  `,
  // At most one row: what the shard held when it was saved, and whether nothing has come or gone since.
  `CREATE TABLE totals (up_to_date INTEGER NOT NULL, amounts TEXT NOT NULL)`,
  // The layout (see rpc.ts), whose count is shard_count; the epoch of the last change in which this shard has moved
  // everything, and, in shard 0, that of the last layout that all shards have heard of.
  `
  ALTER TABLE shard ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE shard ADD COLUMN phase TEXT NOT NULL DEFAULT 'stable';
  ALTER TABLE shard ADD COLUMN from_count INTEGER;
  ALTER TABLE shard ADD COLUMN moved_epoch INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE shard ADD COLUMN announced_epoch INTEGER NOT NULL DEFAULT 1;
  `,
  // ResultsCachePolicy.priority (see eviction.ts). It comes after the bytes, and where it is 0, it takes none to read.
  `ALTER TABLE action_results ADD COLUMN priority INTEGER NOT NULL DEFAULT 0`,
];
