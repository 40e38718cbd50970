-- Put stored vCons on a list.
-- header: {stream key, origin, items}; item: {uuid, document key, meta key}
-- result: 1 when enqueued, 0 when Redis holds no such document
local stream = KEYS[header[1]]
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
return results
