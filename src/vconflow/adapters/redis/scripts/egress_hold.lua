-- Let leases end at another time than they would: now, or later.
-- header: {stream key, leases key, ms from now (0: at once), items}; item: {entry id, turn}
-- result: the positions of the items whose lease still counted
local stream, leases, held = KEYS[header[1]], KEYS[header[2]], {}
local ends = header[3] > 0 and integer(now_ms + header[3]) or '0'
for position, item in ipairs(header[4]) do
  if owns(stream, item[1], 'http', item[2]) then
    redis.call('ZADD', leases, ends, item[1])
    held[#held + 1] = position
  end
end
return held
