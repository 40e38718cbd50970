-- Take vCons out of listing and index when Redis holds no document of theirs any more.
-- header: {listing key, expiring key, items, partners key}
-- item: {uuid, document key, meta key, index text, index keys}
local forgotten = 0
for _, item in ipairs(header[3]) do
  if redis.call('EXISTS', KEYS[item[2]]) == 0 then
    redis.call('ZREM', KEYS[header[2]], item[1])
    if (redis.call('HGET', KEYS[item[3]], 'idx') or '') == item[4] then
      redis.call('ZREM', KEYS[header[1]], item[1])
      if is_type(KEYS[header[4]], 'hash') then redis.call('HDEL', KEYS[header[4]], item[1]) end
      for _, key in ipairs(item[5]) do redis.call('ZREM', KEYS[key], item[1]) end
      redis.call('HDEL', KEYS[item[3]], 'idx')
      forgotten = forgotten + 1
    end
  else
    -- It was written again meanwhile: it expires later, or not at all.
    local left = redis.call('PTTL', KEYS[item[2]])
    if left < 0 then
      redis.call('ZREM', KEYS[header[2]], item[1])
    else
      redis.call('ZADD', KEYS[header[2]], integer(now_ms + left + 1), item[1])
    end
  end
end
return forgotten
