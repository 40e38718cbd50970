-- Read documents with their revision, up to a number of bytes; the rest comes with the next call.
-- header: {bytes, items}; item: {document key, meta key}
-- result: {document or false, rev, born, deleted (1), index text, open} each; shorter than the items
-- when the bytes were used up
local left = header[1]
local results = {}
for i, item in ipairs(header[2]) do
  if left <= 0 then break end
  local document = redis.pcall('GET', KEYS[item[1]])
  -- A replica may lack what its master has. It refuses writes, also this one that changes nothing.
  if not document then redis.call('DEL', KEYS[item[1]]) end
  -- No string: a conserver keeps its documents with RedisJSON, under the names of ours.
  if type(document) == 'table' then document = redis.pcall('JSON.GET', KEYS[item[1]]) end
  if type(document) == 'table' then document = false end
  local meta = redis.pcall('HMGET', KEYS[item[2]], 'rev', 'born', 'deleted', 'idx', 'open')
  if meta.err then meta = {} end
  if document then left = left - #document end
  results[i] = {
    document, tonumber(meta[1] or 0), tonumber(meta[2] or 0), meta[3] and 1 or 0, meta[4] or '',
    tonumber(meta[5] or 0),
  }
end
return results
