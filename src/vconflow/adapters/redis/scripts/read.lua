-- Hand out new entries of many lists: of each chain at most its budget, fairly between its lists.
-- header: {consumer, total, requests, tells (1: note which lists are still ready)}
-- request: {budget, stream keys}
-- result: {1 if a list has no consumer group, flat {stream key, entries} pairs}, entries as
--         XREADGROUP gives them
local consumer, total, tells = header[1], header[2], header[4] == 1
local results = {}
local is_incomplete = 0

-- Nothing can come in between: what was read to its end here is ready again when something comes.
local function tell(key, is_ready)
  if is_ready then announce(key) else redis.pcall('SREM', ready_key, key) end
end

local function take(key, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', key, '>')
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'NOGROUP', 1, true) then
      is_incomplete = 1
    elseif tells then
      tell(key, false)
    end
    return 0
  end
  local got = type(reply) == 'table' and reply[1] and #reply[1][2] or 0
  if tells then tell(key, got == count) end
  if got > 0 then
    results[#results + 1] = key
    results[#results + 1] = reply[1][2]
  end
  return got
end

-- First an equal share for each list, so that a long one does not starve the others; what those
-- leave goes to the long ones.
local function serve(request)
  local left = math.min(request[1], total)
  local share = math.max(1, math.floor(left / #request[2]))
  local more = {}
  for _, index in ipairs(request[2]) do
    if left <= 0 then break end
    local count = math.min(share, left)
    local got = take(KEYS[index], count)
    left = left - got
    total = total - got
    if got == count then more[#more + 1] = index end
  end
  for _, index in ipairs(more) do
    if left <= 0 then break end
    local got = take(KEYS[index], left)
    left = left - got
    total = total - got
  end
end

for _, request in ipairs(header[3]) do
  if total <= 0 then break end
  serve(request)
end
return {is_incomplete, results}
