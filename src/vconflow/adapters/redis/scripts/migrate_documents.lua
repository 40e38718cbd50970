-- Make documents of a conserver ours, each only if it still is what was read.
-- header: {listing key, index expiry ms, items}
-- item: {uuid arg, document key, meta key, SHA-1 of what was read, created (-1: unknown), index keys,
--        index text, arg with the conserver's member of the listing, key to put it away under (0: take it)}
-- result: 'done' | 'refused' (put away) | 'changed' | 'gone' | 'ours' | 'type', each
local created, index_expiry = KEYS[header[1]], header[2]

local function bytes_of(key, kind)
  if kind == 'string' then return redis.call('GET', key) end
  if kind == 'ReJSON-RL' then return redis.call('JSON.GET', key) end
  return nil
end

local function list(item)
  local score, uuid, member = item[5], ARGV[item[1]], ARGV[item[8]]
  if score < 0 then
    score = redis.call('ZSCORE', created, member) or redis.call('ZSCORE', created, uuid)
      or now_ms / 1000
  end
  redis.call('ZADD', created, score, uuid)
  redis.call('ZREM', created, member)
end

local function take(item, kind, bytes, held)
  local document, meta = KEYS[item[2]], KEYS[item[3]]
  local ttl, rev = redis.call('PTTL', document), next_rev(held[1])
  if held[2] then
    redis.call('DEL', meta)
    held = {}
  end
  -- Counted entries without a revision are older than this moment, and belong to this life.
  local born = (held[1] and held[4]) or (held[3] and '1') or integer(rev)
  if kind ~= 'string' then redis.call('SET', document, bytes, 'KEEPTTL') end
  redis.call('HSET', meta, 'rev', integer(rev), 'idx', item[7], 'born', born)
  redis.call('HSETNX', meta, 'owner', '')
  if tonumber(held[3] or 0) > 0 then
    redis.call('PERSIST', document)
    redis.call('PERSIST', meta)
  elseif ttl > 0 then
    redis.call('PEXPIRE', meta, integer(math.max(ttl, index_expiry) + 60000))
  end
  list(item)
  reindex(ARGV[item[1]], {}, item[6], index_expiry)
end

local function migrate(item)
  local document, meta = KEYS[item[2]], KEYS[item[3]]
  local kind = redis.call('TYPE', document).ok
  if kind == 'none' then return 'gone' end
  local bytes = bytes_of(document, kind)
  if not bytes or redis.sha1hex(bytes) ~= item[4] then return 'changed' end
  if not is_type(meta, 'hash') or not is_type(created, 'zset') then return 'type' end
  local held = redis.call('HMGET', meta, 'rev', 'deleted', 'open', 'born', 'idx', 'stored')
  local is_known = held[1] and not held[2] and (held[5] or held[6] == held[1])
  if kind == 'string' and is_known then return 'ours' end
  if item[9] > 0 then
    redis.call('RENAME', document, KEYS[item[9]])
    return 'refused'
  end
  if not all_types(item[6], 'zset') then return 'type' end
  take(item, kind, bytes, held)
  return 'done'
end

local results = {}
for i, item in ipairs(header[3]) do results[i] = migrate(item) end
return results
