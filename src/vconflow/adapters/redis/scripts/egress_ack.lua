-- Remove leased egress entries for good.
-- header: {stream key, items}; item: {entry id, meta key, counted}
local stream, removed = KEYS[header[1]], 0
for _, item in ipairs(header[2]) do
  if redis.call('XACK', stream, GROUP, item[1]) == 1 then
    redis.call('XDEL', stream, item[1])
    removed = removed + 1
    local meta = KEYS[item[2]]
    if is_type(meta, 'hash') and is_counted(meta, item[1])
      and redis.call('HINCRBY', meta, item[3], -1) < 0 then
      redis.call('HSET', meta, item[3], 0)
    end
  end
end
return removed
