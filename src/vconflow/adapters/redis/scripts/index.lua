-- Put stored documents back into listing and index.
-- header: {listing key, index expiry ms, items}; item: {uuid, meta key, created, index text,
--          index keys}
for _, item in ipairs(header[3]) do
  local meta = KEYS[item[2]]
  if redis.call('HEXISTS', meta, 'deleted') == 0 then
    adopt(meta)
    redis.call('HSET', meta, 'idx', item[4])
    redis.call('ZADD', KEYS[header[1]], item[3], item[1])
    reindex(item[1], {}, item[5], header[2])
  end
end
return #header[3]
