-- Give up entries so that another replica takes them over at once. They did not crash: the run
-- record says that they are due now.
-- header: {consumer, lease ms, hold key, hold token, items}; item: {stream key, entry id, run key}
local handed, holder = 0, redis.call('GET', KEYS[header[3]])
-- Under our name these are another process's entries by now.
if holder and holder ~= header[4] then return 0 end
for _, item in ipairs(header[5]) do
  local stream, id, run = KEYS[item[1]], item[2], KEYS[item[3]]
  if owns(stream, id, header[1]) then
    if tonumber(redis.call('HGET', run, 'due') or 0) < now_ms then
      redis.call('HSET', run, 'due', integer(now_ms))
    end
    redis.call('XCLAIM', stream, GROUP, header[1], 0, id, 'IDLE', header[2] + 1, 'JUSTID')
    handed = handed + 1
  end
end
return handed
