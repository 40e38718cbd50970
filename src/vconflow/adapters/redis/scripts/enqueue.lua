-- Put stored vCons on a list.
-- header: {stream key, origin, items, batch key, batch ttl ms}; item: {uuid, document key, meta key}
-- result: 1 when enqueued, 0 when Redis holds no such document
local stream, batch_key = KEYS[header[1]], KEYS[header[4]]

-- The same batch once more: its answer was lost on the way, not its work.
local before = redis.call('GET', batch_key)
if before then return cmsgpack.unpack(before) end

local results = {}
for i, item in ipairs(header[3]) do
  local uuid, document, meta = item[1], KEYS[item[2]], KEYS[item[3]]
  if is_type(stream, 'stream') and is_type(meta, 'hash') and redis.call('EXISTS', document) == 1 then
    redis.call('PERSIST', document)
    redis.call('PERSIST', meta)
    redis.call('HINCRBY', meta, 'open', 1)
    add_entry(stream, uuid, now_ms, header[2], '', true)
    results[i] = 1
  else
    results[i] = 0
  end
end
redis.call('SET', batch_key, cmsgpack.pack(results), 'PX', header[5])
return results
