-- Write documents and decide what becomes of their entries, each alone and only if still owned.
-- header: {consumer, hold key, hold token, index expiry ms, document ttl ms (0: keep),
--          expiring key, journal, actions, items}
-- items: one flat list, since a table for each would cost as much as a command:
--        {stream key, entry id, run key, uuid, rev (0: none, or any), born (0: any),
--         new rev (0: the next), document arg (0: unchanged), record arg (0: none), action,
--         index change, other} of each.
--        Behind the run key come those of the document, the meta hash and the history of the uuid.
-- index change: 0 | {text, keys, previous text, previous keys}
-- other: 0 | {uuid, document key, meta key, history key} of the vCon that is written instead
-- action: the index of {'keep'} | {'ack', counted} | {'defer', progress arg, due}
--         | {'bury', dead key, field args, even when deleted, counted}
--         | {'finish', targets {{stream key, feeds}}, origin, trace, storages that give it back,
--            expire ms (-1: none), counted}
-- counted: the meta field ('open', 'egress') in which this entry was counted
-- result: the rev, if it is done | {'lost'} | {'moved', rev} | {'deleted'} | {'type', key}
local consumer, index_expiry, document_ttl = header[1], header[4], header[5]
local expiring_key, journal, actions, items = KEYS[header[6]], header[7], header[8], header[9]
local VALUES = 12

-- Under our name another process may own what we believe to own: then nothing is ours any more.
local holder = call('GET', KEYS[header[2]])
local displaced = holder and holder ~= header[3]

-- The item that is worked on. One table for all of them, one after the other.
local item = {}
local function turn_to(place)
  local stream, id, run, uuid, rev, born, new_rev, document, record, action, index, other =
    unpack(items, place + 1, place + VALUES)
  item.stream, item.id, item.run, item.uuid = stream, id, KEYS[run], uuid
  item.rev, item.born, item.new_rev, item.added = rev, born, new_rev, milliseconds(id)
  item.bytes, item.record = document > 0 and ARGV[document], record > 0 and ARGV[record]
  item.action, item.index = actions[action], index ~= 0 and index
  item.document, item.meta, item.history = KEYS[run + 1], KEYS[run + 2], KEYS[run + 3]
  -- The entry's own, also where the vCon is another.
  item.own, item.own_uuid = other == 0, uuid
  item.own_document, item.own_meta, item.own_history = item.document, item.meta, item.history
  if other ~= 0 then
    item.uuid, item.document = other[1], KEYS[other[2]]
    item.meta, item.history = KEYS[other[3]], KEYS[other[4]]
  end
end

-- Which entries are ours, by stream and id. What is committed together was mostly read together, so
-- one look from the first to the last tells of all; what it leaves out (nil) is looked at alone.
local ours = {}
local function look_at_pieces()
  local pieces = {}
  for place = 0, #items - 1, VALUES do
    local stream, id = items[place + 1], items[place + 2]
    local piece = pieces[stream]
    if piece then
      piece.last, piece.size = id, piece.size + 1
    else
      pieces[stream] = {first = id, last = id, size = 1}
      ours[stream] = {}
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

local function is_ours()
  local known = ours[item.stream][item.id]
  if known ~= nil then return known end
  return owns(KEYS[item.stream], item.id, consumer)
end

-- Acknowledging waits for the end of the script, when all that has to come first is written.
local acknowledged, runs = {}, {}
local function acknowledge()
  local ids = acknowledged[item.stream]
  if not ids then
    ids = {}
    acknowledged[item.stream] = ids
  end
  ids[#ids + 1] = item.id
  runs[#runs + 1] = item.run
  ours[item.stream][item.id] = false
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

local function release(meta, counted)
  if not is_counted(meta, counted, item.id) then return end
  if call('HINCRBY', meta, counted, -1) < 0 then call('HSET', meta, counted, 0) end
end

-- What the meta hash of the vCon held, and what of it is to change: written at once at the end.
local held, changes, changed = {}, {}, 0
local function read_meta(meta)
  local reply = redis.pcall(
    'HMGET', meta, 'rev', 'deleted', 'born', 'idx', 'open', 'egress', 'stored', 'ttl')
  if reply.err then return false end
  held.rev, held.deleted, held.born, held.idx, held.open, held.egress, held.stored, held.ttl =
    unpack(reply)
  changed = 0
  return true
end

local function change(name, value)
  held[name] = value
  changes[changed + 1], changes[changed + 2] = name, value
  changed = changed + 2
end

local function add(counted, by)
  change(counted, integer(math.max(0, tonumber(held[counted] or 0) + by)))
end

local function write_changes()
  if changed > 0 then call('HSET', item.meta, unpack(changes, 1, changed)) end
end

-- Whether the entry is counted where it says, in the meta hash that was read.
local function is_counted_in(counted)
  if held.rev then return is_of(item.born > 0 and item.born or held.born, item.added) end
  return held[counted] ~= false
end

-- The document, if there is a new one.
local function write()
  if not item.bytes then return end
  call('SET', item.document, item.bytes)
  if item.index then reindex(item.uuid, item.index[4], item.index[2], index_expiry) end
end

-- Hand the vCon on and be done with the entry.
local function finish()
  local _, targets, origin, trace, storages, expire, counted = unpack(item.action)
  for _, target in ipairs(targets) do add(target[2] and 'open' or 'egress', 1) end
  if item.own and is_counted_in(counted) then add(counted, -1) end
  if storages ~= '' then
    change('stored', held.rev or '0')
    change('at', storages)
  else
    -- Redis holds the one copy of what went through without a storage: no dead letter takes it away.
    change('done', held.rev or '0')
  end
  if expire >= 0 then change('ttl', integer(expire)) end
  -- First of all: without it the entry must not be done with.
  write()
  for _, target in ipairs(targets) do
    add_entry(KEYS[target[1]], item.uuid, now_ms, origin, trace, target[2])
  end
  acknowledge()
  if not item.own then release(item.own_meta, counted) end
  write_changes()
  let_expire(item.uuid, item.document, item.meta, held, expiring_key, document_ttl, index_expiry)
  if not item.own then
    -- A link went on with another vCon: the entry's own is done with too.
    look_and_let_expire(
      item.own_uuid, item.own_document, item.own_meta, expiring_key, document_ttl, index_expiry)
  end
end

local function bury(rev)
  local _, dead, arguments, _, counted = unpack(item.action)
  local fields = {}
  for _, index in ipairs(arguments) do fields[#fields + 1] = ARGV[index] end
  call('XADD', KEYS[dead], '*', 'rev', rev, unpack(fields))
  -- A dead letter is open work, also that of a list which no chain read before.
  if counted ~= 'open' and is_counted(item.own_meta, counted, item.id) then
    release(item.own_meta, counted)
    call('HINCRBY', item.own_meta, 'open', 1)
  end
  acknowledge()
end

-- The revision that a new document makes is among the changes afterwards, still to be written.
local function advance(rev)
  local new_rev = item.new_rev > 0 and item.new_rev or next_rev(rev)
  change('rev', integer(new_rev))
  if item.index then change('idx', item.index[1]) end
  return new_rev
end

local function note()
  if not item.record then return end
  -- What made the entry was noted too.
  remember(journal, item.own_history, item.own_uuid, item.record, item.added)
  if not item.own then remember(journal, item.history, item.uuid, item.record) end
end

-- The key that holds something else than what is to be written there; nil when there is none.
local function wrong_key()
  local kind, fits, wrong = item.action[1], true, nil
  if item.index then
    fits, wrong = all_types(item.index[2], 'zset')
    if fits then fits, wrong = all_types(item.index[4], 'zset') end
    if not fits then return wrong end
  end
  if kind == 'finish' then
    for _, target in ipairs(item.action[2]) do
      if not is_type(KEYS[target[1]], 'stream') then return KEYS[target[1]] end
    end
  elseif kind == 'bury' and not is_type(KEYS[item.action[2]], 'stream') then
    return KEYS[item.action[2]]
  end
end

local function commit()
  local action, kind = item.action, item.action[1]
  if displaced or not is_ours() then return {'lost'} end
  if (kind == 'ack' or not item.own) and not is_type(item.own_meta, 'hash') then
    return {'type', item.own_meta}
  end
  if kind == 'ack' then
    acknowledge()
    release(item.own_meta, action[2])
    -- In a later life of the uuid it may have been the last that kept the document.
    look_and_let_expire(
      item.own_uuid, item.own_document, item.own_meta, expiring_key, document_ttl, index_expiry)
    return 0
  end
  if not read_meta(item.meta) then return {'type', item.meta} end
  -- As texts, which are compared at once; to read such a long number takes longer than to write it.
  local deleted = held.deleted or (item.born > 0 and held.born ~= integer(item.born))
  if deleted and not (kind == 'bury' and action[4]) then return {'deleted'} end
  if deleted then
    bury('0')
    note()
    return 0
  end
  if item.rev > 0 and held.rev ~= integer(item.rev) then
    return {'moved', tonumber(held.rev or 0)}
  end
  -- What had no revision when it was read takes nothing from what has one by now.
  if item.rev == 0 and held.rev and (item.bytes or (kind == 'finish' and action[5] ~= '')) then
    return {'moved', tonumber(held.rev)}
  end
  local rev = item.rev > 0 and item.rev or tonumber(held.rev or 0)
  if item.index and (held.idx or '') ~= item.index[3] then return {'moved', rev} end
  local wrong = wrong_key()
  if wrong then return {'type', wrong} end
  if item.bytes then rev = advance(rev) end
  if kind == 'finish' then
    finish()
  else
    write()
    write_changes()
  end
  if kind == 'defer' then
    call('HSET', item.run, 'progress', ARGV[action[2]], 'due', integer(action[3]))
  elseif kind == 'bury' then
    bury(held.rev or '0')
  end
  note()
  return rev
end

local results = {}
local function commit_all()
  for place = 0, #items - 1, VALUES do
    turn_to(place)
    results[#results + 1] = commit()
  end
end

look_at_pieces()
local went_well, trouble = pcall(commit_all)
-- Also when one of them came to grief: those before it are done, and must not be done again.
acknowledge_all()
if went_well then return results end
-- Raised again, it would lose its code; some servers make a table of it, some a text.
return redis.error_reply(type(trouble) == 'table' and trouble.err or trouble)
