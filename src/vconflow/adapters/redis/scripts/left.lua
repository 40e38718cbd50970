-- Which lists have entries that a consumer owns, or, without one, that nobody renews.
-- header: {consumer or '', lease ms, stream keys}
-- result: the positions of those lists; also of those that cannot tell, so that they are looked at
local consumer, lease = header[1], header[2]
local results = {}
for place, index in ipairs(header[3]) do
  local stream, rows = KEYS[index], nil
  if consumer ~= '' then
    rows = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1, consumer)
  else
    rows = redis.pcall('XPENDING', stream, GROUP, 'IDLE', lease, '-', '+', 1)
  end
  if rows.err or #rows > 0 then results[#results + 1] = place end
end
return results
