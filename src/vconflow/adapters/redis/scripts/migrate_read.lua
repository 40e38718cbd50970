-- Read documents of a conserver, up to a number of bytes; the rest comes with the next call.
-- header: {bytes, items}; item: {document key, meta key}
-- result: {kind, document or false} each: 'string' and 'ReJSON-RL' are a conserver's, 'ours' is
-- not; shorter than the items when the bytes were used up
local left, results = header[1], {}
for i, item in ipairs(header[2]) do
  if left <= 0 then break end
  local kind, document = redis.call('TYPE', KEYS[item[1]]).ok, false
  if kind == 'string' and is_type(KEYS[item[2]], 'hash') then
    -- A conserver's that was worked on has a revision, and still no place in our index.
    local held = redis.call('HMGET', KEYS[item[2]], 'rev', 'deleted', 'idx', 'stored')
    if held[1] and not held[2] and (held[3] or held[4] == held[1]) then kind = 'ours' end
  end
  if kind == 'string' then document = redis.call('GET', KEYS[item[1]])
  elseif kind == 'ReJSON-RL' then document = redis.call('JSON.GET', KEYS[item[1]]) end
  if document then left = left - #document end
  results[i] = {kind, document}
end
return results
