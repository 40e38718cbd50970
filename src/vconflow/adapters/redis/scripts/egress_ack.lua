-- Remove leased egress entries for good.
-- header: {stream key, items, journal, record arg, leases key, batch key, batch ttl ms,
--          expiring key, document ttl ms, index expiry ms}
-- item: {entry id, turn, meta key, counted, uuid, history key, document key}
-- result: the positions of the items whose lease still counted
-- The same request once more: its answer was lost on the way, not its work.
local before = redis.call('GET', KEYS[header[6]])
if before then return cmsgpack.unpack(before) end

local stream, removed = KEYS[header[1]], {}
for position, item in ipairs(header[2]) do
  if owns(stream, item[1], 'http', item[2]) then
    redis.call('XACK', stream, GROUP, item[1])
    redis.call('XDEL', stream, item[1])
    redis.call('ZREM', KEYS[header[5]], item[1])
    removed[#removed + 1] = position
    local meta = KEYS[item[3]]
    if is_type(meta, 'hash') and is_counted(meta, item[4], item[1]) then
      if redis.call('HINCRBY', meta, item[4], -1) < 0 then redis.call('HSET', meta, item[4], 0) end
      -- It was put on the list for a chain, and kept its document until now.
      if item[4] == 'open' then
        look_and_let_expire(item[5], KEYS[item[7]], meta, KEYS[header[8]], header[9], header[10])
      end
    end
    remember(header[3], KEYS[item[6]], item[5], ARGV[header[4]])
  end
end
redis.call('SET', KEYS[header[6]], cmsgpack.pack(removed), 'PX', header[7])
return removed
