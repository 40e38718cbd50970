-- How many entries of a list nobody has now: those that wait, and those whose lease has ended.
-- header: {stream key, leases key}
local stream, leases = KEYS[header[1]], KEYS[header[2]]
local pending = redis.pcall('XPENDING', stream, GROUP)
local taken, lent = 0, 0
if not pending.err then
  taken = pending[1]
  for _, row in ipairs(pending[4] or {}) do
    if row[1] == 'http' then lent = tonumber(row[2]) end
  end
end
-- A chain may have taken over what was lent before the list fed it.
local ended = math.min(lent, redis.call('ZCOUNT', leases, '-inf', integer(now_ms)))
return math.max(0, redis.call('XLEN', stream) - taken + ended)
