-- Store each vCon of a batch: document, meta, listing, index, stream entries.
-- header: {batch key, batch ttl ms, index expiry ms, listing key, expiring key, items}
-- item: {uuid, document key, document arg, meta key, created, stream keys, index keys, index text,
--        previous index text, previous index keys, owner, expected rev (-1: any), origin, trace}
-- result: {'ok', rev} | {'index', its text} | {'moved', rev} | {'owner'} | {'type', key}
local batch_key, batch_ttl, index_expiry, created_key = KEYS[header[1]], header[2], header[3], KEYS[header[4]]
local expiring_key = KEYS[header[5]]

-- The same batch once more: its answer was lost on the way, not its work.
local before = redis.call('GET', batch_key)
if before then return cmsgpack.unpack(before) end

local function accept(item)
  local uuid, document, meta = item[1], KEYS[item[2]], KEYS[item[4]]
  local streams, expected = item[6], item[12]
  if not is_type(created_key, 'zset') then return {'type', created_key} end
  if not is_type(document, 'string') then return {'type', document} end
  if not is_type(meta, 'hash') then return {'type', meta} end
  local fits, wrong = all_types(streams, 'stream')
  if not fits then return {'type', wrong} end
  fits, wrong = all_types(item[7], 'zset')
  if not fits then return {'type', wrong} end

  local held = redis.call('HMGET', meta, 'rev', 'idx', 'deleted', 'born', 'ttl')
  local rev, index, deleted = held[1], held[2] or '', held[3]
  if expected > 0 and (deleted or tonumber(rev or 0) ~= expected) then
    return {'moved', tonumber(rev or 0)}
  end
  -- The same index keys as before need no removal; others must have been declared.
  if index ~= item[8] and index ~= item[9] then return {'index', index} end

  local new_rev = next_rev(rev)
  if deleted then redis.call('DEL', meta) end
  local born = (not deleted and held[4]) or integer(new_rev)
  redis.call('SET', document, ARGV[item[3]])
  redis.call('HSET', meta, 'rev', integer(new_rev), 'idx', item[8], 'owner', item[11], 'born', born)
  if rev then
    redis.call('PERSIST', meta)
    if held[5] then
      redis.call('HDEL', meta, 'ttl')
      if is_type(expiring_key, 'zset') then redis.call('ZREM', expiring_key, uuid) end
    end
  end
  redis.call('ZADD', created_key, item[5], uuid)
  reindex(uuid, item[10], item[7], index_expiry)
  for _, stream in ipairs(streams) do
    add_entry(KEYS[stream], uuid, now_ms, item[13], item[14], true)
  end
  if #streams > 0 then redis.call('HINCRBY', meta, 'open', #streams) end
  return {'ok', new_rev}
end

local results = {}
for i, item in ipairs(header[6]) do results[i] = accept(item) end
redis.call('SET', batch_key, cmsgpack.pack(results), 'PX', batch_ttl)
return results
