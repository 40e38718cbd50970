-- Put before every script. KEYS are all keys it touches, at the end those of the set of lists that
-- are ready to be read and of the bell that is rung when one becomes so; ARGV[1] is msgpack: {deadline ms, header},
-- and the header refers to keys and to further arguments by their index. A Lua error does not roll
-- back, so each item is checked first and written afterwards, and one item's trouble never stops
-- the next.
local deadline, header = unpack(cmsgpack.unpack(ARGV[1]))
local call, KEYS, format, match = redis.call, KEYS, string.format, string.match
local clock = call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = clock[1] * 1000000 + clock[2]
local GROUP = 'vconflow'
local ready_key, bell_key = KEYS[#KEYS - 1], KEYS[#KEYS]

-- `%d` is quicker, where it is not cut to 32 bits.
local WHOLE = format('%d', 2 ^ 40) == '1099511627776' and '%d' or '%.0f'
local function integer(number) return format(WHOLE, number) end
local now_text = integer(now_ms)

-- A network may deliver what was sent long after the sender gave it up and went on.
if now_ms > deadline then return redis.error_reply('LATE ' .. now_text) end

-- Values for `run`, so many at a time that they fit on the stack of Lua.
local function by_hundreds(values, run)
  for first = 1, #values, 100 do
    run(unpack(values, first, math.min(first + 99, #values)))
  end
end

-- The revision after `rev`. It follows the clock so that it also grows past a forgotten one.
local function next_rev(rev) return math.max((tonumber(rev) or 0) + 1, now_us) end

-- Give a vCon that has no revision one, as a conserver's document has none, or one that comes back
-- from a storage: else nobody who works on it would notice that others write it. Entries that count
-- it already belong to this life. Returns the revision, or nil when it had one.
local function adopt(meta)
  local held = call('HMGET', meta, 'rev', 'open')
  if held[1] then return nil end
  local rev = integer(next_rev(nil))
  call('HSET', meta, 'rev', rev, 'born', tonumber(held[2] or 0) > 0 and '1' or rev)
  return rev
end

-- A conserver keeps its search index in plain sets, under the names of ours. Such a set makes room
-- and waits for `vconflow migrate`. Its new name is the only key that nobody declares.
local function step_aside(key)
  local aside = 'vconflow:aside:' .. key
  if redis.call('EXISTS', aside) == 0 then return redis.call('RENAME', key, aside) end
  redis.call('SUNIONSTORE', aside, aside, key)
  redis.call('DEL', key)
end

local known_types = {}
local function is_type(key, wanted)
  local found = known_types[key]
  if not found then
    found = call('TYPE', key).ok
    known_types[key] = found
  end
  if found == 'none' or found == wanted then return true end
  if found == 'set' and wanted == 'zset' then
    step_aside(key)
    known_types[key] = 'none'
    return true
  end
  -- A conserver's document gives way to SET and DEL like any other.
  return found == 'ReJSON-RL' and wanted == 'string'
end

local function all_types(keys, wanted)
  for _, key in ipairs(keys) do
    if not is_type(KEYS[key], wanted) then return false, KEYS[key] end
  end
  return true
end

-- `turn`, if given, is how often the entry must have been handed out.
local function owns(stream, id, consumer, turn)
  local pending = redis.pcall('XPENDING', stream, GROUP, id, id, 1)
  local row = pending.err == nil and pending[1] or nil
  return row ~= nil and row[2] == consumer and (not turn or row[4] == turn)
end

-- Index keys are trimmed on write: a busy number must not grow for ever. The time at which a key
-- expires is set a tenth too late, and tells until then that it was trimmed lately.
local looked_at, oldest, expiry = {}, nil, nil
local function trim(key, expiry_ms)
  if expiry_ms == 0 or looked_at[key] then return end
  looked_at[key] = true
  if call('PTTL', key) >= expiry_ms then return end
  if not oldest then
    oldest, expiry = '(' .. integer(now_ms - expiry_ms), integer(expiry_ms * 1.1)
  end
  call('ZREMRANGEBYSCORE', key, '-inf', oldest)
  call('PEXPIRE', key, expiry)
end

-- Put the uuid into index keys; the first that holds something else, when nothing was done.
-- To try costs less than to ask for the type of each before.
local function index_into(uuid, keys, expiry_ms)
  local fresh = {}
  for _, index in ipairs(keys) do
    local key = KEYS[index]
    local added = redis.pcall('ZADD', key, now_text, uuid)
    if type(added) == 'table' then
      known_types[key] = nil
      if not is_type(key, 'zset') then
        for _, other in ipairs(fresh) do
          call('ZREM', other, uuid)
          looked_at[other] = nil
        end
        return key
      end
      added = call('ZADD', key, now_text, uuid)
    end
    if added == 1 then fresh[#fresh + 1] = key end
    trim(key, expiry_ms)
  end
end

-- Take the uuid out of the index keys it was in and put it into those it belongs to now.
local function reindex(uuid, old_keys, new_keys, expiry_ms)
  for _, index in ipairs(old_keys) do
    call('ZREM', KEYS[index], uuid)
    -- It may be gone with its last member, and with it the time at which it expires.
    looked_at[KEYS[index]] = nil
  end
  index_into(uuid, new_keys, expiry_ms)
end

-- When an entry was added, in Unix ms. (`tonumber` would read the digits twice.)
local function milliseconds(entry_id) return (match(entry_id, '^%d+') or 0) + 0 end

-- Whether an entry that was added at `added` is one of this life of the uuid, which began at `born`.
local function is_of(born, added) return added >= math.floor((tonumber(born) or 0) / 1000) end

-- Whether an entry is counted in the meta hash, in the field `counted`: not one from an earlier life
-- of the uuid. Of a conserver's document nothing is known but how many entries count it.
local function is_counted(meta, counted, entry_id)
  local held = redis.call('HMGET', meta, 'born', 'deleted', 'rev', counted)
  if held[2] then return false end
  if not held[3] then return held[4] ~= false end
  return is_of(held[1], milliseconds(entry_id))
end

-- Whoever reads so many lists that it cannot look at each of them every time looks here. A hint:
-- all of them are looked at now and then too.
local announced = {}
local function announce(stream)
  if announced[stream] then return end
  announced[stream] = true
  if redis.pcall('SADD', ready_key, stream) == 1 then
    redis.pcall('XADD', bell_key, 'MAXLEN', '~', '100', '*', 'list', stream)
  end
end

local function add_entry(stream, uuid, at, origin, trace, feeds)
  local fields = {'uuid', uuid, 'at', at == now_ms and now_text or integer(at)}
  if origin ~= '' then fields[#fields + 1] = 'origin'; fields[#fields + 1] = origin end
  if trace ~= '' then fields[#fields + 1] = 'trace'; fields[#fields + 1] = trace end
  -- An entry of a list that no chain reads is counted apart: it holds no stored document back.
  if not feeds then
    fields[#fields + 1] = 'egress'; fields[#fields + 1] = '1'
  end
  local id = call('XADD', stream, '*', unpack(fields))
  if feeds then announce(stream) end
  return id
end

-- Append to the history of a vCon, and tell whoever listens to the events.
-- journal: {expiry ms (0: no history), most records, channel}; record: opaque
-- since: when something was appended lately, if that is known
local is_heard
local at = now_text .. ' '
local expiry_text
local function remember(journal, key, uuid, record, since)
  if journal[1] > 0 then
    -- Of another type it is somebody else's: then there is no history, and nothing else suffers.
    local length = redis.pcall('RPUSH', key, at .. record)
    if type(length) == 'number' then
      local is_fresh = length > 1 and since and now_ms - since < journal[1] * 0.1
      if not is_fresh and (length == 1 or redis.call('PTTL', key) < journal[1] * 0.9) then
        expiry_text = expiry_text or integer(journal[1])
        call('PEXPIRE', key, expiry_text)
      end
      if length > journal[2] then
        -- The first one tells where it came from: it stays.
        local first = redis.call('LINDEX', key, 0)
        redis.call('LTRIM', key, length - journal[2] + 1, -1)
        redis.call('LPUSH', key, first)
      end
    end
  end
  if is_heard == nil then
    -- Our rights may not reach this far. Then nobody is told, and nothing else suffers.
    local listeners = redis.pcall('PUBSUB', 'NUMSUB', journal[3])
    is_heard = not listeners.err and tonumber(listeners[2]) > 0
  end
  if is_heard then redis.pcall('PUBLISH', journal[3], at .. uuid .. ' ' .. record) end
end

-- A document leaves Redis only when no list works on it and a readable storage holds this very
-- revision, or when a link asked for it.
-- held: what the meta hash holds under 'open', 'stored', 'ttl' and 'rev'
local function let_expire(uuid, document, meta, held, expiring_key, document_ttl, index_expiry)
  if not held.rev or tonumber(held.open or 0) > 0 then return end
  local stored = held.stored == held.rev
  local ttl = held.ttl and tonumber(held.ttl) or (stored and document_ttl > 0 and document_ttl)
  if not ttl then return end
  call('PEXPIRE', document, integer(ttl))
  call('PEXPIRE', meta, integer(math.max(ttl, index_expiry) + 60000))
  if not is_type(expiring_key, 'zset') then return end
  if not stored then
    call('ZADD', expiring_key, integer(now_ms + ttl), uuid)
    known_types[expiring_key] = 'zset'
  elseif known_types[expiring_key] == 'zset' then
    call('ZREM', expiring_key, uuid)
  end
end

-- The same, of a meta hash that was not read.
local function look_and_let_expire(uuid, document, meta, ...)
  local held = {}
  held.open, held.stored, held.ttl, held.rev =
    unpack(call('HMGET', meta, 'open', 'stored', 'ttl', 'rev'))
  let_expire(uuid, document, meta, held, ...)
end
