-- Drop dead letters that are too old, and with them documents that nothing else keeps.
-- header: {dead key, listing key, items}; item: {id, uuid, document key, meta key, index text,
--          index keys}
local dropped = 0
for _, item in ipairs(header[3]) do
  if redis.call('XDEL', KEYS[header[1]], item[1]) == 1 then
    dropped = dropped + 1
    local meta = KEYS[item[4]]
    local held = redis.pcall('HMGET', meta, 'deleted', 'egress', 'stored', 'rev', 'idx')
    if not held.err and not held[1] and held[4] and redis.call('HINCRBY', meta, 'open', -1) <= 0
      and tonumber(held[2] or 0) <= 0 then
      redis.call('DEL', KEYS[item[3]])
      if held[3] ~= held[4] and (held[5] or '') == item[5] then
        redis.call('ZREM', KEYS[header[2]], item[2])
        for _, key in ipairs(item[6]) do redis.call('ZREM', KEYS[key], item[2]) end
        redis.call('DEL', meta)
      end
    end
  end
end
return dropped
