-- Remove leased egress entries for good.
-- header: {stream key, items}; item: {entry id, meta key}
local stream, removed = KEYS[header[1]], 0
for _, item in ipairs(header[2]) do
  if redis.call('XACK', stream, GROUP, item[1]) == 1 then
    redis.call('XDEL', stream, item[1])
    removed = removed + 1
    local meta = KEYS[item[2]]
    if redis.call('TYPE', meta).ok == 'hash' and redis.call('HINCRBY', meta, 'egress', -1) < 0 then
      redis.call('HSET', meta, 'egress', 0)
    end
  end
end
return removed
