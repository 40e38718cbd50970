-- Drop dead letters, and with them documents that nothing else keeps.
-- header: {dead key, listing key, items, expiring key, document ttl ms, index expiry ms,
--          partners key}
-- item: {id, uuid, document key, meta key, index text, index keys}
local dead, dropped = KEYS[header[1]], 0

local function forget(item, meta, held)
  redis.call('DEL', KEYS[item[3]])
  if not held[2] and (held[4] or '') == item[5] then
    redis.call('ZREM', KEYS[header[2]], item[2])
    if is_type(KEYS[header[7]], 'hash') then redis.call('HDEL', KEYS[header[7]], item[2]) end
    for _, key in ipairs(item[6]) do redis.call('ZREM', KEYS[key], item[2]) end
    redis.call('DEL', meta)
  end
end

for _, item in ipairs(header[3]) do
  local found, meta = redis.call('XRANGE', dead, item[1], item[1])[1], KEYS[item[4]]
  if found then
    redis.call('XDEL', dead, item[1])
    dropped = dropped + 1
    local letter = {}
    for i = 1, #found[2], 2 do letter[found[2][i]] = found[2][i + 1] end
    if is_type(meta, 'hash') and is_counted(meta, 'open', letter['entry'] or item[1]) then
      local held = redis.call('HMGET', meta, 'egress', 'stored', 'rev', 'idx', 'done')
      local open = redis.call('HINCRBY', meta, 'open', -1)
      -- Only what failed dies with its dead letter: nothing later, and nothing that a chain was
      -- through with before another changed it and failed, unless a storage has this very revision.
      if open <= 0 and tonumber(held[1] or 0) <= 0 and letter['rev'] == held[3]
        and not held[5] and (not held[2] or held[2] == held[3]) then
        forget(item, meta, held)
      else
        look_and_let_expire(item[2], KEYS[item[3]], meta, KEYS[header[4]], header[5], header[6])
      end
    end
  end
end
return dropped
