-- Hand out entries of an egress list: first those whose lease has ended, then new ones. The group
-- knows how often an entry was handed out, a sorted set when its lease ends.
-- header: {stream key, leases key, count, lease ms, silence ms, batch key, batch ttl ms}
-- result: {{entry, ...}, {turn of each}}
local stream, leases, count = KEYS[header[1]], KEYS[header[2]], header[3]
local ends = integer(now_ms + header[4])

-- The same request once more: its answer was lost on the way, and with it what it had lent.
local before = redis.call('GET', KEYS[header[6]])
if before then return cmsgpack.unpack(before) end

if redis.call('EXISTS', stream) == 0 then
  redis.call('DEL', leases)
  return {{}, {}}
end
if redis.pcall('XPENDING', stream, GROUP).err then
  redis.call('XGROUP', 'CREATE', stream, GROUP, '0')
end

local entries, turns = {}, {}

local function add(entry, turn)
  redis.call('ZADD', leases, ends, entry[1])
  entries[#entries + 1] = entry
  turns[#turns + 1] = turn
end

local function take(id, turn)
  local claimed = redis.call('XCLAIM', stream, GROUP, 'http', 0, id)
  -- Of one that somebody deleted from the stream nothing comes back.
  if claimed[1] then add(claimed[1], turn) end
end

local function take_ended(id)
  local row = redis.call('XPENDING', stream, GROUP, id, id, 1)[1]
  redis.call('ZREM', leases, id)
  if row and row[2] == 'http' then take(id, row[4] + 1) end
end

-- Entries of a replica that died while the list still fed a chain.
local function take_abandoned()
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, GROUP)) do
    if consumer[2] ~= 'http' and consumer[4] > 0 and #entries < count then
      local rows = redis.call('XPENDING', stream, GROUP, 'IDLE', integer(header[5]), '-', '+',
        count - #entries, consumer[2])
      for _, row in ipairs(rows) do take(row[1], row[4] + 1) end
    end
  end
end

local function older(one, other)
  local ms, number = string.match(one, '(%d+)-(%d+)')
  local other_ms, other_number = string.match(other, '(%d+)-(%d+)')
  if ms ~= other_ms then return tonumber(ms) < tonumber(other_ms) end
  return tonumber(number) < tonumber(other_number)
end

local ended = redis.call('ZRANGE', leases, '-inf', integer(now_ms), 'BYSCORE', 'LIMIT', 0, count)
table.sort(ended, older)
for _, id in ipairs(ended) do take_ended(id) end
if #entries < count then
  local found = redis.call('XREADGROUP', 'GROUP', GROUP, 'http', 'COUNT', count - #entries,
    'STREAMS', stream, '>')
  for _, entry in ipairs(found and found[1][2] or {}) do add(entry, 1) end
end
if #entries < count then take_abandoned() end
if #entries > 0 then
  redis.call('SET', KEYS[header[6]], cmsgpack.pack({entries, turns}), 'PX', header[7])
end
return {entries, turns}
