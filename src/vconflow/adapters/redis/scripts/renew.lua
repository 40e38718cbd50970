-- Renew the leases that are still ours, and the hold on the consumer name.
-- header: {consumer, hold key, hold token, hold ttl ms, lists}; list: {stream key, ids}
-- result: {1 when the name is still held, lost ids of the first list, of the second, ...}
-- XCLAIM alone would steal back what another replica has taken over: the owner is checked first.
local consumer, hold = header[1], KEYS[header[2]]
local results = {0}
if redis.call('GET', hold) == header[3] then
  redis.call('PEXPIRE', hold, header[4])
  results[1] = 1
elseif redis.call('SET', hold, header[3], 'NX', 'PX', header[4]) then
  -- Redis was restarted or paused for longer than the hold, and nobody took the name meanwhile.
  results[1] = 1
end
if results[1] == 0 then return results end
for i, list in ipairs(header[5]) do
  local stream, lost = KEYS[list[1]], {}
  for _, id in ipairs(list[2]) do
    if owns(stream, id, consumer) then
      redis.call('XCLAIM', stream, GROUP, consumer, 0, id, 'JUSTID')
    else
      lost[#lost + 1] = id
    end
  end
  results[i + 1] = lost
end
return results
