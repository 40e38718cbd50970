-- Give up entries so that another replica takes them over at once. They did not crash: the run
-- record says that they are due now.
-- header: {consumer, lease ms, items}; item: {stream key, entry id, run key}
local handed = 0
for _, item in ipairs(header[3]) do
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
