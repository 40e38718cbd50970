-- Write documents and decide what becomes of their entries, each alone and only if still owned.
-- header: {consumer, hold key, hold token, index expiry ms, document ttl ms (0: keep),
--          expiring key, items, journal}
-- item: {stream key, entry id, entry's meta key, run key, uuid, document key, meta key, rev
--        (0: any), born (0: any), document arg (0: unchanged), index change, action,
--        entry's uuid, entry's document key, record arg (0: none), history key
--        (0: none), entry's history key (0: none), new rev (0: the next)}
-- index change: {} | {text, keys, previous text, previous keys}
-- action: {'keep'} | {'ack', counted} | {'defer', progress arg, due}
--         | {'bury', dead key, field args, even when deleted, counted}
--         | {'finish', targets {{stream key, feeds}}, origin, trace, stored, expire ms (-1: none),
--            counted}
-- counted: the meta field ('open', 'egress') in which this entry was counted
-- result: {'done', rev} | {'lost'} | {'moved', rev} | {'deleted'} | {'type', key}
local consumer, index_expiry, document_ttl = header[1], header[4], header[5]
local expiring_key, items = KEYS[header[6]], header[7]

-- Under our name another process may own what we believe to own: then nothing is ours any more.
local holder = call('GET', KEYS[header[2]])
local displaced = holder and holder ~= header[3]

local function milliseconds(id) return tonumber(string.match(id, '^%d+')) end

-- Which entries are ours, by stream and id. What is committed together was mostly read together, so
-- one look from the first to the last tells of all; what it leaves out (nil) is looked at alone.
local ours = {}
local function look_at_pieces()
  local pieces = {}
  for _, item in ipairs(items) do
    local piece = pieces[item[1]]
    if piece then
      piece.last, piece.size = item[2], piece.size + 1
    else
      pieces[item[1]] = {first = item[2], last = item[2], size = 1}
      ours[item[1]] = {}
    end
  end
  for stream, piece in pairs(pieces) do
    local rows = piece.size > 1 and redis.pcall(
      'XPENDING', KEYS[stream], GROUP, piece.first, piece.last, piece.size, consumer)
    if rows and not rows.err then
      for _, row in ipairs(rows) do ours[stream][row[1]] = true end
    end
  end
end

local function is_ours(item)
  local known = ours[item[1]][item[2]]
  if known ~= nil then return known end
  return owns(KEYS[item[1]], item[2], consumer)
end

-- Acknowledging waits for the end of the script, when all that has to come first is written.
local acknowledged, runs = {}, {}
local function acknowledge(item)
  local ids = acknowledged[item[1]]
  if not ids then
    ids = {}
    acknowledged[item[1]] = ids
  end
  ids[#ids + 1] = item[2]
  runs[#runs + 1] = KEYS[item[4]]
  ours[item[1]][item[2]] = false
end

-- Values for `run`, so many at a time that they fit on the stack of Lua.
local function by_hundreds(values, run)
  for first = 1, #values, 100 do
    run(unpack(values, first, math.min(first + 99, #values)))
  end
end

local function acknowledge_all()
  for stream, ids in pairs(acknowledged) do
    by_hundreds(ids, function(...)
      call('XACK', KEYS[stream], GROUP, ...)
      call('XDEL', KEYS[stream], ...)
    end)
  end
  by_hundreds(runs, function(...) call('DEL', ...) end)
end

local function release(meta, counted, entry_id)
  if not is_counted(meta, counted, entry_id) then return end
  if call('HINCRBY', meta, counted, -1) < 0 then call('HSET', meta, counted, 0) end
end

-- What the meta hash of the vCon held, and what of it is to change: written at once at the end.
local FIELDS = {'rev', 'deleted', 'born', 'idx', 'open', 'egress', 'stored', 'ttl'}
local function read_meta(meta)
  local reply = redis.pcall('HMGET', meta, unpack(FIELDS))
  if reply.err then return nil end
  return {
    rev = reply[1], deleted = reply[2], born = reply[3], idx = reply[4] or '', open = reply[5],
    egress = reply[6], stored = reply[7], ttl = reply[8], changes = {},
  }
end

local function change(held, name, value)
  local changes = held.changes
  held[name] = value
  changes[#changes + 1] = name
  changes[#changes + 1] = value
end

local function add(held, counted, by)
  change(held, counted, integer(math.max(0, tonumber(held[counted] or 0) + by)))
end

-- Whether the entry is counted where it says, in the meta hash that was read.
local function is_counted_in(held, counted, entry_id)
  if held.rev then return is_of(held.born, entry_id) end
  return held[counted] ~= false
end

-- Nothing may expire while work is open, nor without a reason: then there is no need to look again.
local function may_expire(held)
  if tonumber(held.open or 0) > 0 then return false end
  return held.ttl or (document_ttl > 0 and held.stored == held.rev)
end

-- Hand the vCon on and be done with the entry.
local function finish(item, action, rev, held)
  local meta, own = KEYS[item[7]], item[3] == item[7]
  for _, target in ipairs(action[2]) do
    add_entry(KEYS[target[1]], item[5], now_ms, action[3], action[4], target[2])
    add(held, target[2] and 'open' or 'egress', 1)
  end
  acknowledge(item)
  if own then
    if is_counted_in(held, action[7], item[2]) then add(held, action[7], -1) end
  else
    release(KEYS[item[3]], action[7], item[2])
  end
  -- Redis holds the one copy of what went through without a storage: no dead letter takes it away.
  change(held, action[5] and 'stored' or 'done', integer(rev))
  if action[6] >= 0 then change(held, 'ttl', integer(action[6])) end
  call('HSET', meta, unpack(held.changes))
  if may_expire(held) then
    let_expire(item[5], KEYS[item[6]], meta, expiring_key, document_ttl, index_expiry)
  end
  if not own then
    -- A link went on with another vCon: the entry's own is done with too.
    let_expire(item[13], KEYS[item[14]], KEYS[item[3]], expiring_key, document_ttl, index_expiry)
  end
end

local function bury(item, action, rev)
  local fields = {}
  for _, index in ipairs(action[3]) do fields[#fields + 1] = ARGV[index] end
  call('XADD', KEYS[action[2]], '*', 'rev', integer(rev), unpack(fields))
  -- A dead letter is open work, also that of a list which no chain read before.
  if action[5] ~= 'open' and is_counted(KEYS[item[3]], action[5], item[2]) then
    release(KEYS[item[3]], action[5], item[2])
    call('HINCRBY', KEYS[item[3]], 'open', 1)
  end
  acknowledge(item)
end

-- The revision is in `held.changes` afterwards, still to be written.
local function write(item, held, rev)
  local index_change = item[11]
  local new_rev = item[18] > 0 and item[18] or next_rev(rev)
  call('SET', KEYS[item[6]], ARGV[item[10]])
  change(held, 'rev', integer(new_rev))
  if #index_change > 0 then
    change(held, 'idx', index_change[1])
    reindex(item[5], index_change[4], index_change[2], index_expiry)
  end
  return new_rev
end

local function note(item)
  if item[15] == 0 then return end
  -- What made the entry was noted too.
  remember(header[8], KEYS[item[17]], item[13], ARGV[item[15]], milliseconds(item[2]))
  if item[5] ~= item[13] then remember(header[8], KEYS[item[16]], item[5], ARGV[item[15]]) end
end

local function targets_fit(action)
  for _, target in ipairs(action[2]) do
    if not is_type(KEYS[target[1]], 'stream') then return false, KEYS[target[1]] end
  end
  return true
end

local function commit(item)
  local action, kind = item[12], item[12][1]
  if displaced or not is_ours(item) then return {'lost'} end
  if kind == 'ack' or item[3] ~= item[7] then
    if not is_type(KEYS[item[3]], 'hash') then return {'type', KEYS[item[3]]} end
  end
  if kind == 'ack' then
    acknowledge(item)
    release(KEYS[item[3]], action[2], item[2])
    return {'done', 0}
  end
  local held = read_meta(KEYS[item[7]])
  if not held then return {'type', KEYS[item[7]]} end
  local rev = tonumber(held.rev or 0)
  local deleted = held.deleted or (item[9] > 0 and tonumber(held.born or 0) ~= item[9])
  if deleted and not (kind == 'bury' and action[4]) then return {'deleted'} end
  if deleted then
    bury(item, action, 0)
    note(item)
    return {'done', 0}
  end
  if item[8] > 0 and rev ~= item[8] then return {'moved', rev} end
  local fits, wrong = all_types(item[11][2] or {}, 'zset')
  if fits then fits, wrong = all_types(item[11][4] or {}, 'zset') end
  if not fits then return {'type', wrong} end
  if #item[11] > 0 and held.idx ~= item[11][3] then return {'moved', rev} end
  if kind == 'finish' then
    fits, wrong = targets_fit(action)
    if not fits then return {'type', wrong} end
  elseif kind == 'bury' and not is_type(KEYS[action[2]], 'stream') then
    return {'type', KEYS[action[2]]}
  end
  if item[10] > 0 then rev = write(item, held, rev) end
  if kind == 'finish' then
    finish(item, action, rev, held)
  elseif #held.changes > 0 then
    call('HSET', KEYS[item[7]], unpack(held.changes))
  end
  if kind == 'defer' then
    call('HSET', KEYS[item[4]], 'progress', ARGV[action[2]], 'due', integer(action[3]))
  elseif kind == 'bury' then
    bury(item, action, rev)
  end
  note(item)
  return {'done', rev}
end

local results = {}
local function commit_all()
  for i, item in ipairs(items) do results[i] = commit(item) end
end

look_at_pieces()
local went_well, trouble = pcall(commit_all)
-- Also when one of them came to grief: those before it are done, and must not be done again.
acknowledge_all()
if went_well then return results end
-- Raised again, it would lose its code; some servers make a table of it, some a text.
return redis.error_reply(type(trouble) == 'table' and trouble.err or trouble)
