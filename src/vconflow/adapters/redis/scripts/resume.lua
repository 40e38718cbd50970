-- Count a crash for entries that were running when their owner died, and return their progress.
-- From then on they rest: until they really run again, nothing that happens is a crash of theirs.
-- header: {never, items}; item: {run key, idle ms (-1: nobody has worked on it)}
-- result: {crashes, due, progress} each
local never = integer(header[1])
local results = {}
for i, item in ipairs(header[2]) do
  local run = KEYS[item[1]]
  local due = tonumber(redis.call('HGET', run, 'due') or 0)
  -- Whoever owned it renewed it `idle` ago for the last time; was it waiting for a retry then?
  if item[2] >= 0 and due <= now_ms - item[2] then
    redis.call('HINCRBY', run, 'crashes', 1)
    redis.call('HSET', run, 'due', never)
  end
  local held = redis.call('HMGET', run, 'crashes', 'due', 'progress')
  results[i] = {tonumber(held[1] or 0), tonumber(held[2] or 0), held[3] or ''}
end
return results
