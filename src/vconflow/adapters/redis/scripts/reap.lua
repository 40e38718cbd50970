-- Delete consumers that nobody holds and that own nothing. DELCONSUMER alone would drop pending
-- entries from the group.
-- header: {stream key, consumers}; consumer: {name, hold key}
local reaped = 0
for _, consumer in ipairs(header[2]) do
  if redis.call('EXISTS', KEYS[consumer[2]]) == 0 then
    local pending = redis.call('XPENDING', KEYS[header[1]], GROUP, '-', '+', 1, consumer[1])
    if #pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[header[1]], GROUP, consumer[1])
      reaped = reaped + 1
    end
  end
end
return reaped
