-- Read documents with their revision, up to a number of bytes; the rest comes with the next call.
-- header: {bytes, how many}; KEYS are those of document and meta hash of each in a row
-- result: document or false, rev, born, deleted (1), index text, open of each in a row, for fewer
-- than were asked for when the bytes were used up
local left, count = unpack(header)
local results = {}
for key = 1, 2 * count, 2 do
  if left <= 0 then break end
  local document = redis.pcall('GET', KEYS[key])
  -- A replica may lack what its master has. It refuses writes, also this one that changes nothing.
  if not document then redis.call('DEL', KEYS[key]) end
  -- No string: a conserver keeps its documents with RedisJSON, under the names of ours.
  if type(document) == 'table' then document = redis.pcall('JSON.GET', KEYS[key]) end
  if type(document) == 'table' then document = false end
  local meta = redis.pcall('HMGET', KEYS[key + 1], 'rev', 'born', 'deleted', 'idx', 'open')
  if meta.err then meta = {} end
  if document then left = left - #document end
  local size = #results
  results[size + 1], results[size + 2] = document, tonumber(meta[1] or 0)
  results[size + 3], results[size + 4] = tonumber(meta[2] or 0), meta[3] and 1 or 0
  results[size + 5], results[size + 6] = meta[4] or '', tonumber(meta[5] or 0)
end
return results
