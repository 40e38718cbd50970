-- Say whose dead letters these are: their other fields are long, and needed by nobody who moves them.
-- header: {dead key, ids}; result: uuid each, false for what is not there
local dead, uuids = KEYS[header[1]], {}
for i, id in ipairs(header[2]) do
  local found = redis.call('XRANGE', dead, id, id)[1]
  uuids[i] = found and '' or false
  for j = 1, found and #found[2] or 0, 2 do
    if found[2][j] == 'uuid' then uuids[i] = found[2][j + 1] end
  end
end
return uuids
