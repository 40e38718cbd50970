-- Remove a document with its index entries and leave a tombstone that outlives every lease.
-- header: {uuid, document key, meta key, listing key, expiring key, expected index text,
--          index keys, tombstone ttl ms, batch key, batch ttl ms, partners key, journal,
--          history key, record arg}
-- result: {1 or 0: whether it was there} | {'index', its text}
local uuid, document, meta = header[1], KEYS[header[2]], KEYS[header[3]]
local batch_key = KEYS[header[9]]

-- The same call once more: its answer was lost. A new life that began meanwhile is not its matter.
if redis.call('EXISTS', batch_key) == 1 then return {tonumber(redis.call('GET', batch_key))} end

local held = redis.call('HMGET', meta, 'rev', 'idx', 'deleted')
local index = held[2] or ''
-- A forgotten meta hash cannot say; then the caller's reading of the document counts.
if held[2] and index ~= header[6] then return {'index', index} end
local found = redis.call('DEL', document)
if redis.call('ZREM', KEYS[header[4]], uuid) == 1 or (held[1] and not held[3]) then found = 1 end
redis.call('ZREM', KEYS[header[5]], uuid)
for _, key in ipairs(header[7]) do redis.call('ZREM', KEYS[key], uuid) end
if is_type(KEYS[header[11]], 'hash') then redis.call('HDEL', KEYS[header[11]], uuid) end
redis.call('DEL', meta)
redis.call('HSET', meta, 'deleted', integer(now_ms), 'rev', integer(next_rev(held[1])))
redis.call('PEXPIRE', meta, header[8])
if found == 1 then remember(header[12], KEYS[header[13]], uuid, ARGV[header[14]]) end
redis.call('SET', batch_key, found, 'PX', header[10])
return {found}
